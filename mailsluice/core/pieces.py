"""Split long arrays into pieces, so that intermediate results stay small."""

from __future__ import annotations

from collections.abc import Iterator

_PIECE = 1 << 18


def pieces(total: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each piece, in order; together they cover 0 to `total`."""
    for start in range(0, total, _PIECE):
        yield start, min(start + _PIECE, total)
