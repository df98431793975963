"""Read fields of a provider's JSON, which may be of any type and length. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

MAX_TEXT = 500
"""Characters that are kept of a text; replies of servers are cut to this length."""

_LATEST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SURROGATES = re.compile(rb"\\\\|%b%b|(%b|%b)" % (_HIGH, _LOW, _HIGH, _LOW))
"""Matches the escape of a backslash, of a character in two halves, or of half a character."""
_REPLACEMENT = rb"\ufffd"
_SPACES = bytes(max(octet, 32) for octet in range(256))


class UnreadableEventError(ValueError):
    """An event, or a whole request, that is not in its provider's format; says which part."""


def json_of(body: bytes) -> Any:
    """Parse JSON. Raises UnreadableEventError if the body is none, or is nested too deeply.

    A character that cannot be one, in the words of one server, does not hinder the other events of
    a request: see `_repaired`.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.loads(_repaired(body))
    except orjson.JSONDecodeError:
        raise UnreadableEventError("not JSON") from None


def _repaired(body: bytes) -> bytes:
    """Replace octets that are not UTF-8, halves of characters, and controls; in linear time.

    Inside of texts none of these is allowed, and outside of them controls are spaces (RFC 8259
    sections 2, 7 and 8.1). The parser stays the same, so it accepts nothing else that it refuses.
    """
    whole = _SURROGATES.sub(_whole, body.translate(_SPACES))
    return whole.decode("utf-8", "replace").encode()


def _whole(match: re.Match[bytes]) -> bytes:
    return _REPLACEMENT if match[1] else match[0]


class Fields(Mapping[str, Any]):
    """A JSON object whose fields are read with their types checked.

    Raises UnreadableEventError if `value` is no object.
    """

    __slots__ = ("_values",)

    def __init__(self, value: Any, name: str = "the event") -> None:
        if not isinstance(value, dict):
            raise UnreadableEventError(f"{name} is not an object")
        self._values: dict[str, Any] = value

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, *names: str, limit: int = MAX_TEXT) -> str:
        """Return the first of these fields that is a text or a number, cut; empty if none is."""
        for name in names:
            value = self._values.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
                return plain(str(value), limit)
        return ""

    def needed(self, name: str, limit: int = MAX_TEXT) -> str:
        """Return a text that has to be there. Raises UnreadableEventError."""
        value = self.text(name, limit=limit)
        if not value:
            raise UnreadableEventError(f"{name} is missing")
        return value

    def inner(self, name: str) -> Fields:
        """Return the object in a field; an empty one if there is none."""
        value = self._values.get(name)
        return Fields(value if isinstance(value, dict) else {})

    def moment(self, *names: str) -> float:
        """Return a time in seconds since the epoch, from the first of these fields that is there.

        A number counts seconds, or milliseconds if it is too large for seconds; a text is a number
        or a time in ISO 8601. Raises UnreadableEventError.
        """
        for name in names:
            value = self._values.get(name)
            if value is not None and value != "":
                return moment(value, name)
        raise UnreadableEventError(f"{names[0]} is missing")


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """Cut a text, and replace what is no printable character by spaces."""
    cut = text[:limit]
    if cut.isprintable():
        return cut.strip()
    return "".join(letter if letter.isprintable() else " " for letter in cut).strip()


def moment(value: Any, name: str = "the time") -> float:
    """Read a time; see `Fields.moment`."""
    seconds = _seconds(value)
    if seconds is not None and seconds > _LATEST:
        seconds /= 1000
    if seconds is None or not 0 < seconds <= _LATEST:
        raise UnreadableEventError(f"{name} is not a time")
    return seconds


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return _iso(value)
    return seconds if math.isfinite(seconds) else None


def _iso(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value[:40].strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def items(value: Any, limit: int) -> list[Any]:
    """Return the elements of a JSON array, or the value alone. Raises UnreadableEventError."""
    found = value if isinstance(value, list) else [value]
    if len(found) > limit:
        raise UnreadableEventError(f"more than {limit:,} events in one request")
    return found
