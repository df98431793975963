"""The bodies of a message, encoded once, with holes for each recipient's values.

When the message is compiled, its bodies are encoded with holes in the place of the values. For a
recipient, the values are encoded alone, and joined with the pieces. The rows that a template treats
alike (`Content.shape`) share a stencil.

Most templates are ASCII text with insertions, and most values are words. Such values change neither
the encoding of a 7-bit body nor the ends of its lines, and need no encoding: `PlainStencil`. For
all others, each body is quoted-printable or base64: `EncodedStencil`. Where neither can be sure of
the result, `fill` returns None, and the caller renders and encodes the bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

from mailsluice.message.body import LONGEST_LINE, SEVEN_BIT, Encoding, best_encoding, encode_body
from mailsluice.message.content import Shape
from mailsluice.message.outline import Insertion, Outline
from mailsluice.message.segments import Base64Body, quoted_piece, quoted_value
from mailsluice.message.simple import escape_value

_ESCAPED = re.compile("[&<>'\"]")
"""Characters that escaping changes."""
_COPIES = 8
"""Octets of a stencil for each character: its text, and its encoded forms."""
_MOST_SEEN = 10_000
_MOST_VALUES = 20_000
"""The most characters of all values together; more are left to the checks of rendering."""


class Stencil:
    """A message that is ready for the wire, except for its header and the values."""

    def __init__(self, outlines: Sequence[Outline], skeleton: Sequence[bytes], marker: str) -> None:
        """Encode the bodies.

        Args:
            outlines: The parts of each body.
            skeleton: The MIME structure around the bodies (see `mime_skeleton`).
            marker: The beginning of the boundaries.
        """
        self._outlines = outlines
        self._skeleton = skeleton
        self._plain = PlainStencil.cut(outlines, skeleton, marker)
        texts = [part for outline in outlines for part in outline if isinstance(part, str)]
        self.octets = _COPIES * sum(map(len, texts)) + len(b"".join(skeleton))
        """About how much memory it takes at most."""

    @cached_property
    def _encoded(self) -> EncodedStencil:
        return EncodedStencil(self._outlines, self._skeleton)

    def fill(self, head: str, row: Mapping[str, str]) -> tuple[bytes, bool] | None:
        """Return the whole message for a row, with this header.

        Also whether no line after the header begins with a dot. None if the values have to be
        rendered: they are very long, or one has a carriage return. Raises KeyError for a missing
        value, UnicodeError for one that a filter cannot change.
        """
        if self._plain and (content := self._plain.fill(head, row)):
            return content, self._plain.is_dotless
        if content := self._encoded.fill(head, row):
            return content, self._encoded.is_dotless
        return None


class Stencils:
    """The stencils of the shapes that recur, as many as fit into a number of octets.

    A shape gets its stencil when it is seen for the second time. When there is no room left,
    further shapes get none: to replace stencils would cost more than to render each message.
    """

    def __init__(self, cut: Callable[[Shape], Stencil], octets: int = 1 << 25) -> None:
        self._cut = cut
        self._room = octets
        self._kept: dict[Shape, Stencil] = {}
        self._seen: set[Shape] = set()

    def keep(self, shape: Shape) -> Stencil:
        """Cut the stencil of a shape. Raises MessageError if the HTML cannot be made into text."""
        stencil = self._cut(shape)
        self._room -= stencil.octets
        self._kept[shape] = stencil
        return stencil

    def get(self, shape: Shape) -> Stencil | None:
        """Return the stencil of a shape, if it has one."""
        stencil = self._kept.get(shape)
        if stencil is not None or self._room <= 0:
            return stencil
        if shape in self._seen:
            self._seen.discard(shape)
            return self.keep(shape)
        if len(self._seen) < _MOST_SEEN:
            self._seen.add(shape)
        return None


class PlainStencil:
    """A message of 7-bit bodies, for values of printable ASCII."""

    def __init__(
        self,
        pieces: Sequence[str],
        insertions: Sequence[Insertion],
        last: Sequence[Insertion],
        *,
        end: bytes,
        marker: str,
    ) -> None:
        """Prepare the pieces for filling.

        Args:
            pieces: The encoded bodies and the structure around them.
            insertions: The insertions between the pieces.
            last: Those that bodies end with.
            end: The end of the message, after the last piece.
            marker: The beginning of the boundaries.
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
        self._last = [values.index((hole.name, hole.change)) for hole in last]
        self._end = end
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
    def cut(
        cls, outlines: Sequence[Outline], skeleton: Sequence[bytes], marker: str
    ) -> PlainStencil | None:
        """Make a stencil from the parts of the bodies and the MIME structure around them.

        None if a body needs another encoding than 7bit.
        """
        stand_in = f"({marker[2:]})"  # a hash of the message, so it occurs nowhere in it
        bodies = [
            encode_body(
                "".join(part if isinstance(part, str) else stand_in for part in parts),
                marker.encode(),
            )
            for parts in outlines
        ]
        if not bodies or not all(body.startswith(SEVEN_BIT) for body in bodies):
            return None
        whole = b"".join(chain.from_iterable(zip(skeleton, bodies, strict=False))).decode()
        return cls(
            whole.split(stand_in),
            [part for parts in outlines for part in parts if not isinstance(part, str)],
            _last(outlines),
            end=skeleton[-1],
            marker=marker,
        )

    def fill(self, head: str, row: Mapping[str, str]) -> bytes | None:
        """Return the whole message for a row, with this header; None if a value is not plain."""
        values = self._values(row)
        together = "".join(values)
        if len(together) > LONGEST_LINE or not (together.isascii() and together.isprintable()):
            return None
        if self._last and not all(values[place] for place in self._last):
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
            return tuple([change(text) for change, text in zip(self._changes, values, strict=True)])
        return values

    def _holds_marker(self, filled: str, together: str) -> bool:
        """Whether values complete a boundary; then its "_" is in a value or near a piece's end."""
        return ("_" in together or self._begins_marker) and (
            filled.count(self._marker) != self._markers
        )


class EncodedStencil:
    """A message whose bodies are quoted-printable or base64, for any values."""

    def __init__(self, outlines: Sequence[Outline], skeleton: Sequence[bytes]) -> None:
        """Encode the pieces of the bodies (see `Stencil`)."""
        self._insertions = [
            *dict.fromkeys(
                part for outline in outlines for part in outline if not isinstance(part, str)
            )
        ]
        self._last = [self._insertions.index(hole) for hole in _last(outlines)]
        self._base64: list[Base64Body] = []
        self._quotes = False
        pieces, holes = [skeleton[0]], list[int]()
        for outline, structure in zip(outlines, skeleton[1:], strict=True):
            encoding, (first, *others), inserted = self._encoded(outline)
            pieces[-1] += encoding.header + first
            pieces += others
            pieces[-1] += structure
            holes += inserted
        self._arranged = _items(holes)
        self._parts = [b""] * 2 * len(pieces)
        self._parts[1::2] = pieces
        self.is_dotless = b"\n." not in b"".join(pieces)
        """Whether no line after the header begins with a dot, whatever the values."""

    def _encoded(self, outline: Outline) -> tuple[Encoding, list[bytes], list[int]]:
        """Return a body's encoding, its pieces, and the positions of what goes between them."""
        texts, holes = self._split(outline)
        encoding = best_encoding("".join(texts))
        if encoding is Encoding.BASE64:
            self._base64.append(Base64Body(texts, holes))
            return encoding, [b"", b""], [len(self._insertions) + len(self._base64) - 1]
        self._quotes = True
        *others, last = texts
        pieces = [quoted_piece(text, is_last=False) for text in others]
        return encoding, [*pieces, quoted_piece(last, is_last=True)], holes

    def _split(self, outline: Outline) -> tuple[list[str], list[int]]:
        """Return the texts around the insertions, and the insertions' positions."""
        texts, holes = [""], []
        for part in outline:
            if isinstance(part, str):
                texts[-1] += part
            else:
                holes.append(self._insertions.index(part))
                texts.append("")
        if not texts[-1].endswith("\n"):
            texts[-1] += "\n"
        return texts, holes

    def fill(self, head: str, row: Mapping[str, str]) -> bytes | None:
        """Return the whole message for a row, with this header; None if a value is odd."""
        values = [
            escape_value(change(row[name])) if escaped else change(row[name])
            for name, change, escaped in self._insertions
        ]
        together = "".join(values)
        if len(together) > _MOST_VALUES or "\r" in together:
            return None
        if self._last and any(values[place][-1:] in ("", "\n") for place in self._last):
            return None  # whether the body gets a line end depends on what comes before
        encoded = [quoted_value(value) for value in values] if self._quotes else [b""] * len(values)
        if self._base64:
            encoded += [body.fill(values) for body in self._base64]
        parts = self._parts.copy()
        parts[0] = head.encode()
        parts[2::2] = self._arranged(encoded)
        return b"".join(parts)


def _last(outlines: Sequence[Outline]) -> list[Insertion]:
    """Return the insertions that bodies end with."""
    return [outline[-1] for outline in outlines if outline and not isinstance(outline[-1], str)]


def _room(pieces: Sequence[str]) -> int:
    """Return how many characters may be inserted in all, so that no line becomes too long."""
    lines = [line.split("\0") for line in "\0".join(pieces).split("\r\n")]
    return LONGEST_LINE - max((len("".join(line)) for line in lines if len(line) > 1), default=0)


def _items(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return an `itemgetter` that returns a tuple for any number of keys."""
    return (
        itemgetter(*keys) if len(keys) > 1 else lambda source: tuple([source[key] for key in keys])
    )
