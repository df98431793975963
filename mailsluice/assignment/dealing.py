"""Deal the recipients of a campaign that is ordered by a column evenly to its routes. Pure.

The layout of routes has the exact rates in every stretch. So a route gets its share of the best
recipients of a group, of the next best and so on, when the layout runs over the group from its best
recipient to its last one. A group is a domain. Since a domain of one or two recipients has no such
stretch, those of a provider are one group together: in them no route can be two messages away from
its share. Every second group is laid out from its last recipient to its best one; otherwise, of two
routes with equal shares, the first would get the better recipients at each domain of four.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import numpy.typing as npt

from mailsluice.core.pieces import pieces

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int16]
Positions = npt.NDArray[np.int64]

_SMALL = 2


def deal(
    grouped: Positions, order: Positions, domain_keys: Keys, providers: Numbers | None
) -> None:
    """Arrange send positions, in place, in the order in which the layout runs over them.

    Args:
        grouped: (n,) send positions, sorted by provider, by domain within it, and by position
            within the domain.
        order: (n,) audience index of the recipient at each send position.
        domain_keys: (n,) by audience index.
        providers: (n,) by audience index; None: all recipients have the same one.
    """
    recipients = order[grouped]
    ends = _ends(domain_keys, recipients)
    provider_ends = ends[-1:] if providers is None else _ends(providers, recipients)
    del recipients
    domain_turns, pool_turns = cycle((False, True)), cycle((False, True))
    start, first = 0, 0
    for end in provider_ends.tolist():
        last = int(np.searchsorted(ends, end)) + 1
        for size in _pool_small(grouped[start:end], np.diff(ends[first:last], prepend=start)):
            _turn(grouped[start : start + size], next(domain_turns))
            start += size
        if start < end:
            _turn(grouped[start:end], next(pool_turns))
        start, first = end, last


def _turn(group: Positions, is_turned: bool) -> None:
    if is_turned:
        group[:] = group[::-1].copy()


def _pool_small(positions: Positions, sizes: npt.NDArray[np.int64]) -> list[int]:
    """Move a provider's small domains to its end, as one group; return the other domains' sizes."""
    is_small = sizes <= _SMALL
    in_small = np.repeat(is_small, sizes)
    pool = np.sort(positions[in_small])
    others = len(positions) - len(pool)
    positions[:others] = positions[~in_small]
    positions[others:] = pool
    result: list[int] = sizes[~is_small].tolist()
    return result


def _ends(values: Keys | Numbers, order: Positions) -> Positions:
    """Return where each run of equal values ends, in this order of the values."""
    changes = []
    for start, end in pieces(len(order)):
        piece = values[order[start : end + 1]]
        changes.append(start + 1 + np.flatnonzero(piece[1:] != piece[:-1]))
    return np.concatenate([*changes, [len(order)]]).astype(np.int64)
