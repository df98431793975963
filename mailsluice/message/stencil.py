"""The bodies of a message, encoded once; each recipient's values go into the holes.

Most templates are ASCII text with insertions, and most values are words: neither changes how a body
is encoded, nor where its lines end. So the bodies are encoded when the message is compiled, with a
stand-in for each value, and cut at the stand-ins. Per recipient the values are looked at and joined
with the pieces. `Stencil.fill` gives None unless that yields what encoding the rendered bodies
would: where in doubt, they are rendered and encoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain

from markupsafe import escape

from mailsluice.message.body import LONGEST_LINE, SEVEN_BIT, encode_body
from mailsluice.message.content import Content
from mailsluice.message.simple import Insertion, Outline

_ESCAPED = re.compile("[&<>'\"]")
"""What `escape` changes."""


class Stencil:
    """All that follows a message's own header, ready for the wire but for the values."""

    def __init__(
        self,
        pieces: Sequence[str],
        insertions: Sequence[Insertion],
        end: bytes,
        marker: str,
        *,
        distinct: bool,
    ) -> None:
        """`insertions` stand between `pieces`; see `cut`."""
        reads = [*dict.fromkeys((one.name, one.change) for one in insertions)]
        self._reads = reads
        self._order = [
            reads.index((one.name, one.change)) + one.escaped * len(reads) for one in insertions
        ]
        self._parts = [""] * (2 * len(pieces) - 1)
        self._parts[::2] = pieces
        self._end = end
        self._distinct = distinct
        self._longest = len("".join(pieces)) + _room(pieces)
        self._marker = marker
        self._markers = "".join(pieces).count(marker)
        self._begins_marker = any(
            piece.endswith(marker[1:cut]) for piece in pieces[:-1] for cut in range(2, len(marker))
        )

    @classmethod
    def cut(cls, content: Content, skeleton: Sequence[bytes], marker: bytes) -> Stencil | None:
        """From the bodies and the MIME structure around them (see `mime_skeleton`).

        None where a body is more than text and insertions, or does not go as it is (7bit).
        """
        outlines = content.outlines or ()
        stand_in = f"({marker[2:].decode()})"  # a hash of the whole message, so no part of it
        bodies = [encode_body(_drawn(outline, stand_in), marker) for outline in outlines]
        whole = b"".join(chain.from_iterable(zip(skeleton, bodies, strict=False))).decode()
        pieces = whole.split(stand_in)
        insertions = [part for outline in outlines for part in outline if not isinstance(part, str)]
        if not bodies or not all(body.startswith(SEVEN_BIT) for body in bodies):
            return None
        return cls(pieces, insertions, skeleton[-1], marker.decode(), distinct=content.derives_text)

    def fill(self, row: Mapping[str, str]) -> tuple[bytes, ...] | None:
        """What follows the header for this row, in pieces; None where a value is not plain."""
        try:
            values = [change(row[name]) for name, change in self._reads]
        except (KeyError, UnicodeError):
            return None
        together = "".join(values)
        if not self._are_plain(values, together):
            return None
        parts = self._parts.copy()
        escaped = map(escape, values) if _ESCAPED.search(together) else values
        parts[1::2] = map([*values, *escaped].__getitem__, self._order)
        filled = "".join(parts)
        if len(filled) > self._longest or self._adds_marker(filled, together):
            return None
        return filled.encode(), self._end

    def _are_plain(self, values: Sequence[str], together: str) -> bool:
        """Printable ASCII, and none empty: an empty one may end a body with the line before it, and
        leaves its mark out of the text that is made from the HTML."""
        return (
            together.isascii()
            and together.isprintable()
            and "" not in values
            and (not self._distinct or len({*values}) == len(values))
        )

    def _adds_marker(self, filled: str, together: str) -> bool:
        """Whether the values complete a boundary: its "_" is theirs, or ends what is before one."""
        return ("_" in together or self._begins_marker) and (
            filled.count(self._marker) != self._markers
        )


def _drawn(outline: Outline, stand_in: str) -> str:
    return "".join(part if isinstance(part, str) else stand_in for part in outline)


def _room(pieces: Sequence[str]) -> int:
    """How many characters may be inserted in all, so that no line can become too long."""
    lines = [line.split("\0") for line in "\0".join(pieces).split("\r\n")]
    return LONGEST_LINE - max((len("".join(line)) for line in lines if len(line) > 1), default=0)
