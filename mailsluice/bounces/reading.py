"""Read a mail from the mailbox: its meaning, and traces of the mail that it is about. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from hashlib import blake2b

from mailsluice.bounces import complaint, delivery_status, free_text, notifications
from mailsluice.bounces.notice import AUTO_REPLY, UNKNOWN, UNSUBSCRIBE, Notice, Sort
from mailsluice.bounces.quoted_subject import own_subject
from mailsluice.bounces.report_parts import field, parse, parts, text
from mailsluice.bounces.stated_reason import StatedReason
from mailsluice.bounces.traces import Traces, traces
from mailsluice.message.unsubscribing import UnsubscribeToken

_AUTO_REPLIES = ("X-Autoreply", "X-Autorespond", "X-Autoresponse")
_AWAY = re.compile(
    r"automatic reply|auto-?(?:matische antwort|reply|respon)|out[ -]of[ -](?:the[ -])?office"
    r"|abwesen|réponse automatique|absen(?:ce|t)\b|respuesta automática|fuera de la oficina"
    r"|risposta automatica|fuori sede|resposta automática|automatisch antwoord"
    r"|afwezig|autosvar|automatiskt svar|automatyczna odpowiedź|автоответ"
    r"|автоматический ответ|自動応答|不在(?:通知|連絡|です|の)|自动(?:答复|回复)"
    r"|自動(?:回覆|答覆)|자동 회신",
    re.IGNORECASE,
)
"""Matches the beginning of the subject of an automatic reply without a field that says so."""
_REPORT = "multipart/report"
_RECEIPT = "message/disposition-notification"
"""The part of a receipt: the mail was read or deleted, so it had arrived (RFC 8098)."""
_WRITTEN_TO = ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To")


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """A mail of the mailbox."""

    id: str
    """A hash of its Message-ID, or of its content, so that the same mail has the same id."""
    notice: Notice
    traces: Traces
    unsubscribe: UnsubscribeToken | None = None
    """The token of the address that the mail was written to, if it asks to unsubscribe."""


def read(content: bytes) -> ReturnedMail:
    """Read a mail, which may be cut off anywhere.

    A mail that cannot be read is UNKNOWN. Anybody can send mails to the mailbox, and no mail may
    stop the others from being read.
    """
    try:
        return _read(content)
    except Exception:  # noqa: BLE001 - see above; parsers raise many errors
        return ReturnedMail(_id(content), UNKNOWN, traces(content))


def _read(content: bytes) -> ReturnedMail:
    message = parse(content)
    notification = notifications.notification(message)
    notice = notifications.notice(notification) or _notice(message, content)
    named = tuple(address for reported in notice.reported for address in reported.addresses)
    encoded = (
        text(part)
        for part in parts(message)
        if part.get_content_maintype() == "text"
        and field(part, "Content-Transfer-Encoding").lower() in ("base64", "quoted-printable")
    )
    name = str(message.get("Message-ID", "")).encode("utf-8", "replace").strip()
    searched = b"\n".join([content, *encoded, notification.encode("utf-8", "replace")])
    if notice is UNSUBSCRIBE:
        return ReturnedMail(_id(name or content), notice, Traces(), _unsubscribe_token(message))
    return ReturnedMail(_id(name or content), notice, traces(searched, named))


def _notice(message: Message, content: bytes) -> Notice:
    if passed_on := complaint.passed_on(message):
        return passed_on
    stated = StatedReason.of(message)
    for part in parts(message):
        kind = part.get_content_type()
        if kind == complaint.TYPE:
            return complaint.complaint(part)
        if kind == _RECEIPT:
            return AUTO_REPLY
        if kind in delivery_status.TYPES and (reported := delivery_status.recipients(part, stated)):
            return Notice(Sort.RETURNED, reported)
    if not free_text.comes_from_a_system(message):
        if _is_auto_reply(message):
            return AUTO_REPLY
        return UNSUBSCRIBE if _unsubscribe_token(message) else UNKNOWN
    is_automatic = message.get_content_type() != _REPORT and _is_auto_reply(message)
    reported = free_text.recipients(message, content, stated, is_automatic=is_automatic)
    if reported:
        return Notice(Sort.RETURNED, reported)
    is_reply = is_automatic and not free_text.is_a_report(message, stated)
    return AUTO_REPLY if is_reply else UNKNOWN


def _unsubscribe_token(message: Message) -> UnsubscribeToken | None:
    """Return the token of an address that the mail was written to.

    The text does not count: a reply to a campaign quotes the links in it. Nor do reports: a server
    sends them about a mail, and no reader asks for them.
    """
    if message.get_content_type() == _REPORT or field(message, "Return-Path") == "<>":
        return None
    written_to = " ".join(field(message, name) for name in _WRITTEN_TO)
    return UnsubscribeToken.in_address(written_to)


def _is_auto_reply(message: Message) -> bool:
    """Whether a mail is an auto-reply, by RFC 3834 section 5 or by older header fields."""
    submitted = field(message, "Auto-Submitted").lower()
    precedence = field(message, "Precedence").lower()
    return (
        submitted not in ("", "no")
        or precedence == "auto_reply"
        or any(name in message for name in _AUTO_REPLIES)
        or _AWAY.match(own_subject(message)) is not None
    )


def _id(value: bytes) -> str:
    return blake2b(value, digest_size=16).hexdigest()
