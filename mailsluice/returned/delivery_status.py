"""Delivery status notifications (RFC 3464; in UTF-8: RFC 6533). Pure."""

from __future__ import annotations

import re
from email.message import Message

from mailsluice.returned.notice import MAX_TEXT, Reported
from mailsluice.returned.parts import address, field, groups

TYPES = ("message/delivery-status", "message/global-delivery-status")

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<![\d.])([245]\d\d)(?=[ -])")
_DIAGNOSTIC_CODE = re.compile(r"(?:[\w-]+;)?\W{0,3}([245]\d\d)\b")
_ACTIONS = {"5": "failed", "4": "delayed"}


def recipients(part: Message) -> tuple[Reported, ...]:
    """What a delivery status part says, recipient by recipient (RFC 3464 section 2.3)."""
    return tuple(_reported(one) for one in groups(part) if "Final-Recipient" in one)


def status_in(said: str) -> str:
    """The first enhanced status code in a text (RFC 3463 section 2), or nothing."""
    match = _STATUS.search(said)
    return match[0] if match else ""


def code_in(said: str) -> int | None:
    """The first thing in a text that looks like the code of an SMTP reply."""
    match = _CODE.search(said)
    return int(match[1]) if match else None


def _reported(group: Message) -> Reported:
    said = field(group, "Diagnostic-Code")
    status = _status(status_in(field(group, "Status")), said)
    action = field(group, "Action").partition(" ")[0].lower() or _ACTIONS.get(status[:1], "")
    names = (address(field(group, name)) for name in ("Final-Recipient", "Original-Recipient"))
    code = _DIAGNOSTIC_CODE.match(said)
    return Reported(
        addresses=tuple(filter(None, names)),
        is_final=action == "failed",
        status=status,
        code=int(code[1]) if code else None,
        text=said.partition(";")[2].strip()[:MAX_TEXT] or said[:MAX_TEXT],
    )


def _status(told: str, said: str) -> str:
    """Where a sender knows no better than X.0.0, what the server itself said (same class)."""
    own = status_in(said)
    is_vague = not told or told.endswith(".0.0")
    return own if own and is_vague and own[0] == (told or own)[0] else told
