"""Accounts of a campaign: are all recipients accounted for, who got it, what a person decides."""

from mailsluice.ledger.cancellation import Cancelled, cancel_campaign
from mailsluice.ledger.counting import tally
from mailsluice.ledger.errors import LedgerError
from mailsluice.ledger.export import Contents, export
from mailsluice.ledger.resolution import Action, Resolved, read_addresses, resolve_uncertain
from mailsluice.ledger.tallies import Tallies
from mailsluice.ledger.verification import Finding, Verification, verify

__all__ = [
    "Action",
    "Cancelled",
    "Contents",
    "Finding",
    "LedgerError",
    "Resolved",
    "Tallies",
    "Verification",
    "cancel_campaign",
    "export",
    "read_addresses",
    "resolve_uncertain",
    "tally",
    "verify",
]
