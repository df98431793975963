"""The canonical form of a message that DKIM signs, relaxed/relaxed (RFC 6376 section 3.4). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPACES = re.compile(rb"[ \t]+")
_FIELD_BREAK = re.compile(rb"\r\n(?![ \t])")


def relaxed_body(body: bytes) -> bytes:
    """Return the canonical body (section 3.4.4); every line of `body` ends with CRLF.

    Bytes are replaced rather than matched: most bodies have nothing to replace, and doubled spaces
    halve with each pass.
    """
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    end = len(body)
    while body.endswith(b"\r\n\r\n", 0, end):
        end -= 2
    body = body[:end]
    return b"" if body == b"\r\n" else body


def relaxed_field(name: bytes, value: bytes) -> bytes:
    """Return a canonical header field (section 3.4.2), without a line end."""
    if b"\r\n" in value:
        value = value.replace(b"\r\n", b"")
    if b"\t" in value or b"  " in value:
        value = _SPACES.sub(b" ", value)
    return b"%b:%b" % (name.strip(b" \t").lower(), value.strip(b" "))


def signed_fields(head: bytes, names: Iterable[bytes]) -> bytes:
    """Return the canonical header fields that a signature with these names covers.

    A name that is listed more often than there are fields of it stands for an absent field: none
    may be added later (section 5.4). Fields of one name are taken from the last one up (5.4.2).

    Args:
        head: The header of the message, with CRLF after every field but the last.
        names: Lower-case names, in the order of `h=`.
    """
    fields: dict[bytes, list[bytes]] = {}
    for field in _FIELD_BREAK.split(head):
        name, _, value = field.partition(b":")
        fields.setdefault(name.strip(b" \t").lower(), []).append(value)
    return b"".join(
        relaxed_field(name, fields[name].pop()) + b"\r\n" for name in names if fields.get(name)
    )
