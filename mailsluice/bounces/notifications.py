"""Read Amazon SES's notifications about bounces and complaints, as Amazon SNS mails them. Pure.

A notification is a line of JSON, sometimes in an envelope of SNS, followed by a footer for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.message import Message
from typing import Any

from mailsluice.bounces.notice import AUTO_REPLY, MAX_TEXT, Notice, Reported, Sort
from mailsluice.bounces.own_reply import own_reply
from mailsluice.bounces.report_parts import plain, text, texts

_NAMES = ("notificationType", "eventType")  # of the identity's settings, of a configuration set
_MAX_PEOPLE, _MAX_BRACKETS = 100, 10_000
_NOT_SPAM = "not-spam"
_REPORT_FIELDS = ("status", "action", "diagnosticCode")

UNSUBSCRIBED = "UnsubscribedRecipient"
"""The subtype of a bounce about mail that SES has not sent, because its recipient wants none."""
NOT_SENT = frozenset(
    (
        UNSUBSCRIBED,
        "Suppressed",
        "OnAccountSuppressionList",
        "OnTenantSuppressionList",
        "EmailValidationSuppressed",
    )
)
"""Subtypes of bounces and complaints about mail that SES has not sent."""


def notification(message: Message) -> str:
    """Return the JSON of the notification in a mail, unfolded; empty if there is none.

    SES folds long lines with a line break and a space, in the middle of words.
    """
    for part in texts(message):
        source = text(part).decode("utf-8", "replace").replace("\r\n", "\n").lstrip()
        if source.startswith("{") and any(f'"{name}"' in source for name in (*_NAMES, "Message")):
            return source.replace("\n ", "")
    return ""


def notice(source: str) -> Notice | None:
    """Read a notification about a bounce or a complaint; None for any other text."""
    values = _object(source)
    if isinstance(inner := values.get("Message"), str) and "Type" in values:
        values = _object(inner)
    kind = next((values[name] for name in _NAMES if name in values), None)
    if kind == "Bounce":
        return _bounce(_part(values, "bounce"))
    return _complaint(_part(values, "complaint")) if kind == "Complaint" else None


def is_automatic_reply(bounce: Mapping[str, Any], recipient: Mapping[str, Any]) -> bool:
    """Whether a bounce is an automatic reply, which SES reports as `Transient` and `General`.

    SES copies at least one of three fields from the delivery report of a bounce, and none if the
    mail that came back has no such report. Source: "Bounce types" and "Bounced recipients" in
    Amazon's documentation of the contents of its events.
    """
    return (
        bounce.get("bounceType") == "Transient"
        and bounce.get("bounceSubType") == "General"
        and not any(recipient.get(name) for name in _REPORT_FIELDS)
    )


def _bounce(bounce: dict[str, Any]) -> Notice:
    recipients = _people(bounce, "bouncedRecipients")
    if _word(bounce, "bounceSubType") in NOT_SENT:
        return Notice(Sort.RETURNED)
    if recipients and all(is_automatic_reply(bounce, person) for person in recipients):
        return AUTO_REPLY
    is_lasting = bounce.get("bounceType") != "Transient"
    return Notice(Sort.RETURNED, tuple(_bounced(person, is_lasting) for person in recipients))


def _complaint(complaint: dict[str, Any]) -> Notice:
    feedback = _word(complaint, "complaintFeedbackType")
    if feedback == _NOT_SPAM:
        return Notice(Sort.RETURNED)
    words = f"{feedback or 'complaint'}, reported by {_word(complaint, 'userAgent') or 'SES'}"
    people = _people(complaint, "complainedRecipients")
    addresses = tuple(_word(person, "emailAddress").lower() for person in people)
    return Notice(Sort.COMPLAINT, (Reported(addresses, True, "", None, words[:MAX_TEXT]),))


def _bounced(person: dict[str, Any], is_lasting: bool) -> Reported:
    """Read a recipient; a bounce that SES calls transient is never hard, whatever the words."""
    diagnostic = _word(person, "diagnosticCode")
    words = diagnostic.partition(";")[2].strip() or diagnostic
    own = own_reply(words)
    status = own.status or own_reply(_word(person, "status")).status
    if not is_lasting:
        status = f"4{status[1:]}" if status else "4.0.0"
    code = own.code if status or is_lasting else None
    address = _word(person, "emailAddress").lower()
    return Reported((address,), True, status, code, words[:MAX_TEXT])


def _object(source: str) -> dict[str, Any]:
    if source.count("{") + source.count("[") > _MAX_BRACKETS:
        return {}
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(source.strip())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _part(values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def _people(values: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = values.get(name)
    people = value[:_MAX_PEOPLE] if isinstance(value, list) else []
    return [person for person in people if isinstance(person, dict)]


def _word(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    return plain(value[: 4 * MAX_TEXT]) if isinstance(value, str) else ""
