"""The header fields of a delivered mail, bounded and unfolded. Pure.

Whatever the mail and the servers on its way wrote is hostile: the number of fields and the length
of each are bounded here, before anything looks at them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

PROBE_HEADER = "X-Mailsluice-Probe"
"""The header whose value says which copy this is. Relays may replace the Message-ID."""
MAX_OCTETS = 64 * 1024
"""Octets that are read of a header."""
_MOST_FIELDS = 200
_LONGEST = 4_000  # characters of a field's value
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class Field(NamedTuple):
    """A header field."""

    name: str
    """In lower case."""
    value: str
    """Unfolded (RFC 5322 section 2.2.3), in ASCII: other characters are replaced by `?`."""


def fields_of(header: bytes) -> list[Field]:
    """Return the fields of a header from the top, which is the order from the last to the first.

    A line that is no field ends the header, as it does for mail programs.
    """
    text = header[:MAX_OCTETS].decode("ascii", "replace").replace("\ufffd", "?")
    fields: list[Field] = []
    for line in _FOLD.sub("", text).splitlines()[:_MOST_FIELDS]:
        name, colon, value = line.partition(":")
        if not colon:
            break
        fields.append(Field(name.strip().lower(), _printable(value[:_LONGEST]).strip()))
    return fields


def first(fields: Sequence[Field], name: str) -> str:
    """Return the value of the topmost field of this name; empty if there is none."""
    return next((field.value for field in fields if field.name == name), "")


def without_comments(value: str) -> str:
    """Return a structured value without its comments (RFC 5322 section 3.2.2), in linear time.

    A comment that does not end takes the rest. Parentheses in quoted strings are no comments.
    """
    kept: list[str] = []
    depth, is_quoted, is_escaped = 0, False, False
    for character in value:
        if is_escaped:
            is_escaped = False
        elif character == "\\" and (is_quoted or depth):
            is_escaped = True
        elif character == '"' and not depth:
            is_quoted = not is_quoted
        elif character == "(" and not is_quoted:
            depth += 1
            continue
        elif character == ")" and depth and not is_quoted:
            depth -= 1
            kept.append(" ")
            continue
        if not depth:
            kept.append(character)
    return "".join(kept)


def domain_of(value: str) -> str:
    """Return the domain of an address or a domain, in lower case; empty if there is none."""
    domain = value.strip().strip("<>").rpartition("@")[2].lower().rstrip(".")
    return domain if _DOMAIN.fullmatch(domain) else ""


_DOMAIN = re.compile(r"(?=.{3,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9-]+)+")


def _printable(value: str) -> str:
    return "".join(character if character.isprintable() else " " for character in value)
