"""Complaints: feedback reports of mailbox providers (ARF, RFC 5965). Pure."""

from __future__ import annotations

from email.message import Message

from mailsluice.returned.notice import Notice, Reported, Sort
from mailsluice.returned.parts import address, field, groups

TYPE = "message/feedback-report"

_COMPLAINTS = ("abuse", "fraud", "virus", "other", "opt-out")
"""RFC 5965 section 7.3. A reader's "not spam" (RFC 6430) and reports about authentication
(RFC 6591) are none."""


def complaint(part: Message) -> Notice:
    """What a feedback report says; nothing about anybody where it is no complaint."""
    for group in groups(part):
        kind = field(group, "Feedback-Type").lower()
        if kind in _COMPLAINTS:
            named = [
                *group.get_all("Original-Rcpt-To", []),
                *group.get_all("Removal-Recipient", []),
            ]
            addresses = tuple(address(str(one)) for one in named)
            said = f"{kind}, reported by {field(group, 'User-Agent') or 'somebody unnamed'}"
            return Notice(Sort.COMPLAINT, (Reported(addresses, True, "", None, said[:200]),))
    return Notice(Sort.RETURNED)
