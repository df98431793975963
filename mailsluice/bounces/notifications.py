"""Amazon SES's notifications about bounces and complaints, as Amazon SNS mails them. Pure.

A line of JSON, sometimes in an envelope of SNS, with a footer for people behind it.
"""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

from mailsluice.bounces.notice import MAX_TEXT, Notice, Reported, Sort
from mailsluice.bounces.own_reply import own_reply
from mailsluice.bounces.report_parts import plain, text, texts

_NAMES = ("notificationType", "eventType")  # of the identity's settings, of a configuration set
_MAX_PEOPLE, _MAX_BRACKETS = 100, 10_000
_NOT_SPAM = "not-spam"


def notification(message: Message) -> str:
    """The JSON of a notification in a mail, out of its envelope and unfolded; empty: there is none.

    SES breaks long lines by a line break and a space, in the middle of words.
    """
    for part in texts(message):
        said = text(part).decode("utf-8", "replace").replace("\r\n", "\n").lstrip()
        if said.startswith("{") and any(f'"{name}"' in said for name in (*_NAMES, "Message")):
            return said.replace("\n ", "")
    return ""


def notice(said: str) -> Notice | None:
    """Read a notification about a bounce or a complaint; None for any other text."""
    found = _object(said)
    if isinstance(inner := found.get("Message"), str) and "Type" in found:
        found = _object(inner)
    kind = next((found[name] for name in _NAMES if name in found), None)
    if kind == "Bounce":
        bounce = _part(found, "bounce")
        is_lasting = bounce.get("bounceType") != "Transient"
        recipients = _people(bounce, "bouncedRecipients")
        return Notice(Sort.RETURNED, tuple(_bounced(one, is_lasting) for one in recipients))
    if kind == "Complaint":
        complaint = _part(found, "complaint")
        feedback = _word(complaint, "complaintFeedbackType")
        if feedback == _NOT_SPAM:
            return Notice(Sort.RETURNED)
        said = f"{feedback or 'complaint'}, reported by {_word(complaint, 'userAgent') or 'SES'}"
        people = _people(complaint, "complainedRecipients")
        addresses = tuple(_word(one, "emailAddress").lower() for one in people)
        return Notice(Sort.COMPLAINT, (Reported(addresses, True, "", None, said[:MAX_TEXT]),))
    return None


def _bounced(one: dict[str, Any], is_lasting: bool) -> Reported:
    """A recipient; what SES calls transient is never for good, whatever the server said."""
    said = _word(one, "diagnosticCode").partition(";")[2].strip() or _word(one, "diagnosticCode")
    own = own_reply(said)
    status = own.status or own_reply(_word(one, "status")).status
    if not is_lasting:
        status = f"4{status[1:]}" if status else "4.0.0"
    code = own.code if status or is_lasting else None
    address = _word(one, "emailAddress").lower()
    return Reported((address,), True, status, code, said[:MAX_TEXT])


def _object(said: str) -> dict[str, Any]:
    if said.count("{") + said.count("[") > _MAX_BRACKETS:
        return {}
    try:
        found, _ = json.JSONDecoder(strict=False).raw_decode(said.strip())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _people(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = found.get(name)
    people = value[:_MAX_PEOPLE] if isinstance(value, list) else []
    return [one for one in people if isinstance(one, dict)]


def _word(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return plain(value[: 4 * MAX_TEXT]) if isinstance(value, str) else ""
