"""Lay out routes over recipients that have a connection from earlier campaigns. Pure.

A route keeps as many of its recipients as its quota allows. So the number that move is the least
possible: for each connection, what it has beyond its quota. Which of them move, and where new ones
go, is decided by groups: a group is a domain, or several small ones of a mailbox provider. A route
gives recipients away in the groups where it has most beyond its share, so that the largest excess
that is left is as small as possible. It takes free places in the groups where it lacks most, as far
as there are free places for what all routes lack.
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

Groups = npt.NDArray[np.int32]
_Keys = npt.NDArray[np.uint64]
_Numbers = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_LEAST = 50
_MOST_GROUPS = 20_000  # of domains that are a group each; the matrices have a column for each
_ROUNDS = 30
_DIGITS = 6  # less than what the sums of different processors agree in


def lay_out_keeping(counts: Sequence[int], remembered: Routes, groups: Groups) -> Routes:
    """Return the route at each of n places, of which route i gets `counts[i]`.

    Args:
        counts: Recipients of each route; together n.
        remembered: (n,) the route of the recipient at each place so far, NEW or ELSEWHERE.
        groups: (n,) the number of each place's group, from 0.
    """
    if not np.any(remembered >= 0):
        return lay_out(counts)
    sizes = np.bincount(groups)
    shares = np.outer(np.array(counts) / len(groups), sizes)
    places = np.argsort(groups, kind="stable")
    routes, group = remembered[places], groups[places]
    routes[routes < 0] = NEW
    for route, count in enumerate(counts):
        _give_away(routes, route, count, group, shares[route])
    held = np.stack(
        [np.bincount(group[routes == route], minlength=len(sizes)) for route in range(len(counts))]
    )
    needs, free = np.array(counts) - held.sum(axis=1), sizes - held.sum(axis=0)
    lacks = [_above_a_level(*of) for of in zip(shares - held, needs.tolist(), strict=True)]
    # The second term lets a route that lacks nothing take a place that nobody else can.
    wanted = _fitted(np.stack(lacks) + shares * 1e-9, needs, free)
    routes[routes == NEW] = _mixed(wanted, needs, free)
    result = np.empty_like(routes)
    result[places] = routes
    return result


def groups_of(domains: _Keys, providers: npt.NDArray[np.int16] | None) -> Groups:
    """Number the groups of places (n,), which are sorted by provider.

    Domains of fewer than 50 recipients (of very many, more) share groups within their provider.
    """
    is_start = np.ones(len(domains), np.bool_)
    is_start[1:] = domains[1:] != domains[:-1]
    starts = np.flatnonzero(is_start)
    sizes = np.diff(starts, append=len(domains))
    least = max(_LEAST, len(domains) // _MOST_GROUPS)
    small = np.flatnonzero(sizes < least)
    pool = np.cumsum(sizes[small]) // least
    is_new = np.ones(len(small), np.bool_)
    is_new[1:] = pool[1:] != pool[:-1]
    if providers is not None:
        provider = providers[starts[small]]
        is_new[1:] |= provider[1:] != provider[:-1]
    numbers = np.empty(len(starts), np.int32)
    numbers[small] = np.cumsum(is_new) - 1
    large = sizes >= least
    numbers[large] = np.count_nonzero(is_new) + np.arange(np.count_nonzero(large))
    return np.repeat(numbers, sizes)


def _give_away(routes: Routes, route: int, count: int, group: Groups, share: _Floats) -> None:
    """Free the places of those that a route has beyond its count, evenly within each group."""
    places = np.flatnonzero(routes == route)
    number = len(places) - count
    if number <= 0:
        return
    held = np.bincount(group[places], minlength=len(share))
    above = np.cumsum(_above_a_level(held - share, number))
    given = np.diff(np.rint(above * (number / above[-1])).astype(np.int64), prepend=0)
    given = np.minimum(given, held)
    given[np.argmax(held - given)] += number - given.sum()
    first = np.cumsum(held) - held
    for start, end in pieces(len(places)):
        some = places[start:end]
        mine = group[some]
        rank, gives, has = np.arange(start, end) - first[mine], given[mine], held[mine]
        routes[some[(rank + 1) * gives // has > rank * gives // has]] = NEW


def _above_a_level(excess: _Floats, number: int) -> _Floats:
    """Return what each group has above a level, such that this is `number` in all.

    Of all ways to take so many from the groups, this one leaves the smallest maximum.
    """
    if not number:
        return np.zeros(len(excess))
    highest = np.sort(excess)[::-1]
    levels = (np.cumsum(highest) - number) / np.arange(1, len(highest) + 1)
    reached = np.flatnonzero(highest > levels)[-1]
    above: _Floats = np.maximum(excess - max(levels[reached], 0), 0)
    return above


def _fitted(missing: _Floats, needs: _Numbers, free: _Numbers) -> _Floats:
    """Scale what routes lack in groups (routes, groups) to what they need, and what is free there.

    This is iterative proportional fitting (Deming and Stephan, 1940).
    """
    for _ in range(_ROUNDS):
        missing *= _ratio(needs, missing.sum(axis=1))[:, np.newaxis]
        missing *= _ratio(free, missing.sum(axis=0))
    return missing


def _ratio(wanted: _Numbers, sums: _Floats) -> _Floats:
    return np.divide(wanted, sums, out=np.zeros(len(sums)), where=sums > 0)


def _mixed(wanted: _Floats, needs: _Numbers, free: _Numbers) -> Routes:
    """Return the route of each free place, in the order of the groups; each as often as it needs.

    The routes of a group are mixed. Rounding moves a few between neighbouring groups.
    """
    ends = np.concatenate([[0], np.cumsum(free)])
    times, routes = [], []
    for route, need in enumerate(needs.tolist()):
        reached = np.concatenate([[0], np.cumsum(wanted[route])])
        if need:
            reached *= need / reached[-1]
        times.append(np.interp(np.arange(need) + 0.5, reached, ends))
        routes.append(np.full(need, route, np.int16))
    in_turn = np.argsort(np.round(np.concatenate(times), _DIGITS), kind="stable")
    return np.concatenate(routes)[in_turn]
