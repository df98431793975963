"""The bodies of a message, encoded once, with holes for each recipient's values.

Most templates are ASCII text with insertions, and most values are words. Such values change neither
the encoding of a body nor the ends of its lines. So the bodies are encoded when the message is
compiled, with a stand-in for each value, and cut at the stand-ins. For a recipient, the values are
checked, and joined with the pieces. If the result could differ from rendering and encoding the
bodies, `Stencil.fill` returns None, and the caller renders and encodes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from mailsluice.message.body import LONGEST_LINE, SEVEN_BIT, encode_body
from mailsluice.message.content import Content
from mailsluice.message.simple import Insertion, escape_value

_ESCAPED = re.compile("[&<>'\"]")
"""Characters that escaping changes."""


class Stencil:
    """A message that is ready for the wire, except for its header and the values."""

    def __init__(
        self,
        pieces: Sequence[str],
        insertions: Sequence[Insertion],
        *,
        end: bytes,
        marker: str,
        distinct: bool,
    ) -> None:
        """Prepare the pieces for filling.

        Args:
            pieces: The encoded bodies and the structure around them.
            insertions: The insertions between the pieces.
            end: The end of the message, after the last piece.
            marker: The beginning of the boundaries.
            distinct: Whether the stencil is only valid for values that differ.
        """
        values = [*dict.fromkeys((hole.name, hole.change) for hole in insertions)]
        self._read = _items([name for name, _ in values])
        self._changes = [change for _, change in values]
        self._are_changed = any(change is not str for change in self._changes)
        self._arranged = _items(  # from the values, followed by the escaped values
            [
                values.index((hole.name, hole.change)) + hole.escaped * len(values)
                for hole in insertions
            ]
        )
        self._parts = [""] * 2 * len(pieces)
        self._parts[1::2] = pieces
        self._end = end
        self._distinct = distinct
        lines = "\n" + "\0".join(pieces) + end.decode("ascii", "replace")
        self.is_dotless = not ("\n." in lines or "\n\0" in lines)
        """Whether no line after the header begins with a dot, whatever the values."""
        self._longest = len("".join(pieces)) + _room(pieces)
        self._marker = marker
        self._markers = "".join(pieces).count(marker)
        self._begins_marker = any(
            piece.endswith(marker[1:cut]) for piece in pieces[:-1] for cut in range(2, len(marker))
        )

    @classmethod
    def cut(cls, content: Content, skeleton: Sequence[bytes], marker: bytes) -> Stencil | None:
        """Make a stencil from the bodies and the MIME structure around them (see `mime_skeleton`).

        None if a body is more than text and insertions, or needs another encoding than 7bit.
        """
        outlines = content.outlines or ()
        stand_in = f"({marker[2:].decode()})"  # a hash of the message, so it occurs nowhere in it
        bodies = [
            encode_body(
                "".join(part if isinstance(part, str) else stand_in for part in parts), marker
            )
            for parts in outlines
        ]
        if not bodies or not all(body.startswith(SEVEN_BIT) for body in bodies):
            return None
        whole = b"".join(chain.from_iterable(zip(skeleton, bodies, strict=False))).decode()
        return cls(
            whole.split(stand_in),
            [part for parts in outlines for part in parts if not isinstance(part, str)],
            end=skeleton[-1],
            marker=marker.decode(),
            distinct=content.derives_text,
        )

    def fill(self, head: str, row: Mapping[str, str]) -> bytes | None:
        """Return the whole message for a row, with this header; None if a value is not plain."""
        try:
            values = self._values(row)
        except (KeyError, UnicodeError):  # rendering will raise an error that says what is wrong
            return None
        together = "".join(values)
        if len(together) > LONGEST_LINE or not self._are_plain(values, together):
            return None
        escaped = values
        if not together.isalnum() and _ESCAPED.search(together):
            escaped = tuple(map(escape_value, values))
        parts = self._parts.copy()
        parts[0] = head
        parts[2::2] = self._arranged(values + escaped)
        filled = "".join(parts)
        if len(filled) - len(head) > self._longest or self._holds_marker(filled, together):
            return None
        return filled.encode() + self._end

    def _values(self, row: Mapping[str, str]) -> tuple[str, ...]:
        values = self._read(row)
        if self._are_changed:
            return tuple(change(text) for change, text in zip(self._changes, values, strict=True))
        return values

    def _are_plain(self, values: Sequence[str], together: str) -> bool:
        """Whether the values leave the encoding and the lines of the bodies as they are.

        Plain values are printable ASCII, and not empty: a body may end with an empty value, and a
        text that is made from the HTML has no place for it. In such a text equal values share a
        place, so there the values have to differ.
        """
        return (
            together.isascii()
            and together.isprintable()
            and "" not in values
            and not (self._distinct and len({*values}) < len(values))
        )

    def _holds_marker(self, filled: str, together: str) -> bool:
        """Whether values complete a boundary; then its "_" is in a value or near a piece's end."""
        return ("_" in together or self._begins_marker) and (
            filled.count(self._marker) != self._markers
        )


def _room(pieces: Sequence[str]) -> int:
    """Return how many characters may be inserted in all, so that no line becomes too long."""
    lines = [line.split("\0") for line in "\0".join(pieces).split("\r\n")]
    return LONGEST_LINE - max((len("".join(line)) for line in lines if len(line) > 1), default=0)


def _items(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return an `itemgetter` that returns a tuple for any number of keys."""
    return itemgetter(*keys) if len(keys) > 1 else lambda source: tuple(source[key] for key in keys)
