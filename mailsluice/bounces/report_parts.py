"""Parts of a mail and fields of a report, however broken. Pure.

Strangers write these mails, so each step is bounded: see `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import Compat32
from typing import Any

_MAX_PARTS = 100
_MAX_CONTAINERS = 100
"""Parts that hold parts: the parser compares each line with the boundaries of all around it."""
_MAX_FIELD = 2_000
_CONTAINER = re.compile(rb"multipart/|message/", re.IGNORECASE)
_BLANK_LINES = re.compile(rb"\r?\n[ \t]*\r?\n\s*")


class TooManyPartsError(ValueError):
    """A mail is nested deeper than any report is."""


class _ShortFields(Compat32):
    """Header fields are cut before anything interprets them."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, Any]:
        """The name and the value of a field."""
        name, value = super().header_source_parse(sourcelines)
        return name[:_MAX_FIELD], value[:_MAX_FIELD]


_POLICY: Compat32 = _ShortFields()


def parse(content: bytes) -> Message:
    """The mail with these octets. Takes time in proportion to their number.

    Raises TooManyPartsError where it has too many levels or parts.
    """
    if len(_CONTAINER.findall(content)) > _MAX_CONTAINERS:
        raise TooManyPartsError
    return message_from_bytes(content, policy=_POLICY)


def parts(message: Message) -> Iterator[Message]:
    """The parts of a mail, in order; not those of mails that are attached to it."""
    waiting = [message]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting[:0] = [one for one in payload[:_MAX_PARTS] if isinstance(one, Message)]
        else:
            yield part


def texts(message: Message) -> Iterator[Message]:
    """The parts in plain text, in order."""
    return (part for part in parts(message) if part.get_content_type() == "text/plain")


def plain(value: str) -> str:
    """On one line, of characters that can be stored: neither controls nor halves of characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in value).split())


def field(message: Message, name: str) -> str:
    """A field's value, plain; empty where there is none."""
    return plain(str(message.get(name, "")))


def text(part: Message) -> bytes:
    """What a part holds, decoded."""
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def words(part: Message, size: int) -> str:
    """The beginning of a part's text, in its character set or, where that is unknown, in UTF-8."""
    content = text(part)[: 4 * size]
    try:
        said = content.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        said = content.decode("utf-8", "replace")
    return said[:size]


def groups(part: Message) -> list[Message]:
    """The groups of fields of a report, as RFC 3464 section 2.1 and RFC 5965 section 3.1 have them.

    The parser takes such a part for mails; some senders encode it, although they must not.
    """
    payload = part.get_payload()
    inner = payload[:_MAX_PARTS] if isinstance(payload, list) else []
    content = b"\n\n".join(one.as_bytes() for one in inner if isinstance(one, Message))
    if encoding := field(part, "Content-Transfer-Encoding"):
        head = f"Content-Transfer-Encoding: {encoding}\n\n".encode("ascii", "replace")
        content = text(message_from_bytes(head + content.strip()))
    found = _BLANK_LINES.split(content.strip(), maxsplit=_MAX_PARTS)[:_MAX_PARTS]
    parser = BytesHeaderParser(policy=_POLICY)
    return [parser.parsebytes(one + b"\n\n") for one in found if one]


def address(value: str) -> str:
    """The address of `rfc822; <user@example.com>`, in lower case (RFC 3464 section 2.1.2)."""
    return plain(value.rpartition(";")[2]).strip(" <>").lower()
