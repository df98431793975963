"""Encoded bodies with holes: pieces that are encoded once, whatever values come between them.

In quoted-printable, a soft line break before and after each value makes the pieces and the values
independent of each other (RFC 2045 section 6.7). In base64, the octets of a value shift those of
the piece behind it; so each piece is encoded for the three ways in which it can be shifted.
"""

from __future__ import annotations

from binascii import b2a_qp
from collections.abc import Sequence
from functools import lru_cache

from mailsluice.message.body import SOFT_BREAK, base64_lines

_BREAK = b"=\r\n"
_SHORT = 73
"""Characters that fit into a line of 76 together with a soft break, and to spare."""
_MOST_CACHED = 100
"""Characters of a value that may recur."""
_LEAST_ENCODED = 57
"""Octets of a piece that is worth encoding beforehand: shorter ones count as values."""


def quoted_piece(text: str, *, is_last: bool) -> bytes:
    """Encode a text as quoted-printable, so that any encoded text may follow.

    Args:
        text: The piece, with LF at its line ends.
        is_last: Whether the piece ends the body; else it ends at the beginning of a line.
    """
    *lines, last = text.encode("utf-8", "replace").split(b"\n")
    encoded = [_quoted_line(line) for line in lines]
    if is_last and last:
        return b"\r\n".join([*encoded, _quoted_line(last), b""])
    return b"\r\n".join([*encoded, _unfinished(last)])


def quoted_value(text: str) -> bytes:
    """Encode a value as quoted-printable, from the beginning of a line to that of another one."""
    is_plain = text.isascii() and text.isprintable() and "=" not in text
    if is_plain and len(text) <= _SHORT and text[:1] != ".":
        return text.encode() + _BREAK
    return _quoted_once(text) if len(text) <= _MOST_CACHED else _quoted(text)


@lru_cache(maxsize=4096)
def _quoted_once(text: str) -> bytes:
    """Encode a value, cached, since names and places recur."""
    return _quoted(text)


def _quoted(text: str) -> bytes:
    # One character more takes the place of the "=", and keeps a space before it as it is.
    encoded = b2a_qp(text.encode("utf-8", "replace") + b"x").replace(b"\n", b"\r\n")[:-1]
    return _dotless(encoded if encoded.endswith(b"\n") else encoded + _BREAK)


def _quoted_line(line: bytes) -> bytes:
    return _dotless(b2a_qp(line).replace(*SOFT_BREAK))


def _unfinished(line: bytes) -> bytes:
    """Encode a line that goes on behind a soft break; no octet makes no line."""
    if not line:
        return b""
    # One character more takes the place of the "=", and keeps a space before it as it is.
    encoded = b2a_qp(line + b"x").replace(*SOFT_BREAK)[:-1]
    return _dotless(encoded) + _BREAK


def _dotless(encoded: bytes) -> bytes:
    """Encode dots that begin a line, so that nothing needs stuffing on the wire."""
    if not (encoded.startswith(b".") or b"\n." in encoded):
        return encoded
    lines = []
    for line in encoded.split(b"\r\n"):
        while line.startswith(b".") and len(line) > _SHORT:  # no room: the dot gets its own line
            lines.append(b"=2E=")
            line = line[1:]  # noqa: PLW2901
        lines.append(b"=2E" + line[1:] if line.startswith(b".") else line)
    return b"\r\n".join(lines)


class Base64Body:
    """A body in base64 with holes."""

    def __init__(self, texts: Sequence[str], holes: Sequence[int]) -> None:
        """Prepare a body of `texts` around `holes`, which are positions among the values."""
        self._texts = [text.encode("utf-8", "replace").replace(b"\n", b"\r\n") for text in texts]
        self._holes = holes
        self._pieces: dict[tuple[int, int], bytes] = {}
        """Encoded pieces, by position and the octets that complete the group before."""

    def fill(self, values: Sequence[str]) -> bytes:
        """Return the encoded body."""
        encoded: list[bytes] = []
        carried = b""
        for position, text in enumerate(self._texts):
            if len(text) < _LEAST_ENCODED:
                carried += text
            else:
                taken = -len(carried) % 3
                encoded += (base64_lines(carried + text[:taken]), self._piece(position, taken))
                carried = text[len(text) - (len(text) - taken) % 3 :]
            if position < len(self._holes):
                value = values[self._holes[position]]
                carried += value.encode("utf-8", "replace").replace(b"\n", b"\r\n")
        return b"".join([*encoded, base64_lines(carried)])

    def _piece(self, position: int, taken: int) -> bytes:
        """Return the whole groups of a piece, without its first octets."""
        piece = self._pieces.get((position, taken))
        if piece is None:
            text = self._texts[position]
            piece = base64_lines(text[taken : len(text) - (len(text) - taken) % 3])
            self._pieces[position, taken] = piece
        return piece
