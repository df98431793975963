"""Parse a mail into parts, and a report into fields, however broken they are. Pure.

Anybody can send these mails, so each step is bounded: see `parse`.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32
from typing import Any

_MAX_PARTS = 100
_MAX_CONTAINERS = 100
"""Parts that hold parts; the parser compares each line with the boundaries of all of them."""
_MAX_FIELD = 2_000
_MAX_MAILBOX = 500
_CONTAINER = re.compile(rb"multipart/|message/", re.IGNORECASE)
_BLANK_LINES = re.compile(rb"\r?\n[ \t]*\r?\n\s*")


# Later Pythons refuse `user@a.example <user@a.example>`, unless they are asked not to.
_LENIENT: dict[str, Any] = (
    {"strict": False} if getattr(email.utils, "supports_strict_parsing", False) else {}
)


class TooManyPartsError(ValueError):
    """A mail is nested deeper than any report is."""


class _ShortFields(Compat32):
    """Cuts header fields before anything interprets them."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, Any]:
        """Return the name and the value of a field."""
        name, value = super().header_source_parse(sourcelines)
        return name[:_MAX_FIELD], value[:_MAX_FIELD]


_POLICY: Compat32 = _ShortFields()


def parse(content: bytes) -> Message:
    """Parse a mail in linear time. Raises TooManyPartsError for too many levels or parts."""
    if len(_CONTAINER.findall(content)) > _MAX_CONTAINERS:
        raise TooManyPartsError
    return message_from_bytes(content, policy=_POLICY)


def parts(message: Message) -> Iterator[Message]:
    """Yield the parts of a mail, in order, but not those of attached mails."""
    waiting = [message]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting[:0] = [inner for inner in payload[:_MAX_PARTS] if isinstance(inner, Message)]
        else:
            yield part


def texts(message: Message) -> Iterator[Message]:
    """Yield the parts in plain text, in order."""
    return (part for part in parts(message) if part.get_content_type() == "text/plain")


def plain(value: str) -> str:
    """Put a text on one line, without controls and halves of characters, so it can be stored."""
    printable = (mark if mark.isprintable() else " " for mark in value)
    return " ".join("".join(printable).split())


def field(message: Message, name: str) -> str:
    """Return a field's value on one line; empty if there is no such field."""
    return plain(str(message.get(name, "")))


def text(part: Message) -> bytes:
    """Return the content of a part, decoded."""
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def words(part: Message, size: int) -> str:
    """Return the beginning of a part's text, decoded as UTF-8 if its character set is unknown."""
    content = text(part)[: 4 * size]
    try:
        decoded = content.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        decoded = content.decode("utf-8", "replace")
    return decoded[:size]


def groups(part: Message) -> list[Message]:
    """Return the groups of fields of a report (RFC 3464 section 2.1, RFC 5965 section 3.1).

    The parser takes such a part for mails. Some senders encode the part, although they must not.
    """
    payload = part.get_payload()
    inner = payload[:_MAX_PARTS] if isinstance(payload, list) else []
    content = b"\n\n".join(mail.as_bytes() for mail in inner if isinstance(mail, Message))
    if encoding := field(part, "Content-Transfer-Encoding"):
        head = f"Content-Transfer-Encoding: {encoding}\n\n".encode("ascii", "replace")
        content = text(message_from_bytes(head + content.strip()))
    blocks = _BLANK_LINES.split(content.strip(), maxsplit=_MAX_PARTS)[:_MAX_PARTS]
    parser = BytesHeaderParser(policy=_POLICY)
    return [parser.parsebytes(block + b"\n\n") for block in blocks if block]


def address(value: str) -> str:
    """Return the address of `rfc822; <user@example.com>` in lower case (RFC 3464 section 2.1.2)."""
    return plain(value.rpartition(";")[2]).strip(" <>").lower()


def mailbox(message: Message, name: str) -> str:
    """Return the address of a field such as `Name <user@example.com> (comment)`, in lower case.

    Empty where the field has several addresses or none (RFC 5322 section 3.4).
    """
    value = field(message, name)[:_MAX_MAILBOX]
    try:
        found = [one.lower() for _, one in email.utils.getaddresses([value], **_LENIENT) if one]
    except (IndexError, RecursionError):  # the parser's own faults
        return ""
    addresses = {one for one in found if "@" in one}  # the rest may be words of an unquoted name
    return found[-1] if addresses == set(found[-1:]) else ""
