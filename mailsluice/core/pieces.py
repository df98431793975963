"""Going through long arrays piece by piece, so that what is computed on the way stays small."""

from __future__ import annotations

from collections.abc import Iterator

_PIECE = 1 << 18


def pieces(total: int) -> Iterator[tuple[int, int]]:
    """Start and end of each piece, in order; together they are 0 to `total`."""
    for start in range(0, total, _PIECE):
        yield start, min(start + _PIECE, total)
