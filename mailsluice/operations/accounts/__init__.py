"""Accounts of a campaign: verify its numbers, export its recipients, decide what is left open."""

from mailsluice.operations.accounts.cancellation import Cancelled, cancel_campaign
from mailsluice.operations.accounts.counting import tally
from mailsluice.operations.accounts.deciding import HeldPart, decide, held_parts
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.accounts.export import Contents, export
from mailsluice.operations.accounts.finding import FoundRecipient, find_recipients
from mailsluice.operations.accounts.resolution import (
    Action,
    Resolved,
    read_addresses,
    resolve_uncertain,
)
from mailsluice.reports.verification import Discrepancy, Tallies, Verification, verify

__all__ = [
    "Action",
    "Cancelled",
    "Contents",
    "Discrepancy",
    "FoundRecipient",
    "HeldPart",
    "LedgerError",
    "Resolved",
    "Tallies",
    "Verification",
    "cancel_campaign",
    "decide",
    "export",
    "find_recipients",
    "held_parts",
    "read_addresses",
    "resolve_uncertain",
    "tally",
    "verify",
]
