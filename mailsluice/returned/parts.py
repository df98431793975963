"""Parts of a mail and fields of a report, however broken. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser

_MAX_PARTS = 100
_BLANK_LINES = re.compile(rb"\r?\n[ \t]*\r?\n\s*")


def parts(message: Message) -> Iterator[Message]:
    """The parts of a mail, in order; not those of mails that are attached to it."""
    waiting = [message]
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting[:0] = [one for one in payload if isinstance(one, Message)]
        else:
            yield part


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


def groups(part: Message) -> list[Message]:
    """The groups of fields of a report, as RFC 3464 section 2.1 and RFC 5965 section 3.1 have them.

    The parser takes such a part for mails; some senders encode it, although they must not.
    """
    payload = part.get_payload()
    inner = payload if isinstance(payload, list) else []
    content = b"\n\n".join(one.as_bytes() for one in inner if isinstance(one, Message))
    if encoding := field(part, "Content-Transfer-Encoding"):
        head = f"Content-Transfer-Encoding: {encoding}\n\n".encode("ascii", "replace")
        content = text(message_from_bytes(head + content.strip()))
    found = _BLANK_LINES.split(content.strip())
    return [BytesHeaderParser().parsebytes(one + b"\n\n") for one in found if one]


def address(value: str) -> str:
    """The address of `rfc822; <user@example.com>`, in lower case (RFC 3464 section 2.1.2)."""
    return plain(value.rpartition(";")[2]).strip(" <>").lower()
