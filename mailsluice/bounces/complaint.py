"""Read complaints: feedback reports of mailbox providers (ARF, RFC 5965), and Outlook.com. Pure."""

from __future__ import annotations

from email.message import Message

from mailsluice.bounces.notice import Notice, Reported, Sort
from mailsluice.bounces.report_parts import address, field, groups, mailbox, parts

TYPE = "message/feedback-report"

_COMPLAINTS = ("abuse", "fraud", "virus", "other", "opt-out")
"""Types of feedback that are complaints (RFC 5965 section 7.3). A reader's "not spam" (RFC 6430)
and reports about authentication (RFC 6591) are not."""


_OUTLOOK = "staff@hotmail.com"
_OUTLOOK_SUBJECT = "complaint about message from"
_OUTLOOK_RECIPIENT = "X-HmXmrOriginalRecipient"
"""Header field of Outlook.com's Junk Mail Reporting Program, which attaches the mail alone."""


def complaint(part: Message) -> Notice:
    """Read a feedback report; the notice names no recipient if the report is no complaint."""
    for group in groups(part):
        kind = field(group, "Feedback-Type").lower()
        if kind in _COMPLAINTS:
            named = [
                *group.get_all("Original-Rcpt-To", []),
                *group.get_all("Removal-Recipient", []),
            ]
            addresses = tuple(address(str(value)) for value in named)
            text = f"{kind}, reported by {field(group, 'User-Agent') or 'somebody unnamed'}"
            return Notice(Sort.COMPLAINT, (Reported(addresses, True, "", None, text[:200]),))
    return Notice(Sort.RETURNED)


def passed_on(message: Message) -> Notice | None:
    """Read a complaint from Outlook.com; None if the mail is something else."""
    subject = field(message, "Subject").lower()
    if mailbox(message, "From") != _OUTLOOK and not subject.startswith(_OUTLOOK_SUBJECT):
        return None
    for part in parts(message):
        if part.get_content_type() != "message/rfc822":
            continue
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else part
        original = first if isinstance(first, Message) else part
        name = address(field(original, _OUTLOOK_RECIPIENT)) or mailbox(original, "To")
        text = "abuse, reported by Outlook.com"
        return Notice(Sort.COMPLAINT, (Reported((name,), True, "", None, text),))
    return None
