"""Lay out routes over recipients that have a connection from earlier campaigns. Pure.

A route keeps as many of its recipients as its quota allows. So the number that move is the least
possible: for each connection, what it has beyond its quota. Which of them move, and where new ones
go, follows the recipients in the order of the layout, sorted by mailbox provider and domain: a
route gives recipients away where it has more than its share of the sequence so far, and takes some
where it has less. So a connection is close to its share at each provider and domain, as far as that
needs no further move.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.layout import Routes, lay_out
from mailsluice.core.pieces import pieces

NEW = -1
"""A recipient that no earlier campaign gave a connection."""
ELSEWHERE = -2
"""A recipient whose connection is none of the campaign's routes."""

_Counts = npt.NDArray[np.int32]
_Positions = npt.NDArray[np.int64]


def lay_out_keeping(counts: Sequence[int], remembered: Routes) -> Routes:
    """Return the route at each of n places, of which route i gets `counts[i]`.

    Args:
        counts: Recipients of each route; together n.
        remembered: (n,) the route of the recipient at each place so far, NEW or ELSEWHERE.
    """
    if not np.any(remembered >= 0):
        return lay_out(counts)
    routes = np.where(remembered < 0, np.int16(NEW), remembered)
    for route, count in enumerate(counts):
        _give_away(routes, route, count)
    times, taken = [], []
    for route, count in enumerate(counts):
        missing = _share_so_far(count, len(routes)) - _so_far(routes == route)
        number = int(missing[-1])
        times.append(_times(missing, number))
        taken.append(np.full(number, route, np.int16))
    in_turn = np.argsort(np.concatenate(times), kind="stable")
    routes[routes == NEW] = np.concatenate(taken)[in_turn]
    return routes


def _give_away(routes: Routes, route: int, count: int) -> None:
    """Free the places of those that a route has beyond its count."""
    mine = routes == route
    places = np.flatnonzero(mine)
    number = len(places) - count
    if number <= 0:
        return
    beyond = _so_far(mine) - _share_so_far(count, len(routes))
    nearest = np.searchsorted(places, _times(beyond, number))
    routes[places[_distinct(nearest, len(places))]] = NEW


def _share_so_far(count: int, total: int) -> _Counts:
    """A route's share of every prefix of n places, rounded down; the whole count at the end."""
    result = np.empty(total, np.int32)
    for start, end in pieces(total):
        result[start:end] = count * np.arange(start + 1, end + 1, dtype=np.int64) // total
    return result


def _so_far(places: npt.NDArray[np.bool]) -> _Counts:
    return np.cumsum(places, dtype=np.int32)


def _times(difference: _Counts, number: int) -> _Positions:
    """Return the places at which 1, 2, ... `number` steps are due, so that their sum follows a
    difference that ends at `number`.

    The sum may only grow. Of all sums that do, the mean of the highest value so far and the lowest
    value from here on has the least distance from the difference (isotonic regression, with the
    largest distance as its measure).
    """
    twice = np.maximum.accumulate(difference)
    lowest = difference[::-1].copy()
    np.minimum.accumulate(lowest, out=lowest)
    twice += lowest[::-1]
    return np.searchsorted(twice, 2 * np.arange(number, dtype=np.int32) + 1)


def _distinct(nearest: _Positions, total: int) -> _Positions:
    """Return different indices below `total`, each as near as possible to the given ones (k,).

    `nearest` is sorted.
    """
    steps = np.arange(len(nearest))
    apart = np.maximum.accumulate(nearest - steps)
    return np.minimum(apart, total - len(nearest)) + steps
