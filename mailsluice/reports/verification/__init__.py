"""Verification of a campaign: whether every recipient is accounted for, exactly once."""

from mailsluice.reports.verification.tallies import DeliveryTally, StateTally, Tallies
from mailsluice.reports.verification.verification import Discrepancy, Verification, verify

__all__ = ["DeliveryTally", "Discrepancy", "StateTally", "Tallies", "Verification", "verify"]
