"""Lay out routes in a sequence in which each has its exact rate everywhere. Pure.

Routes are laid out over the recipients, sorted by domain, by earliest deadline. Every prefix is
within one message of its share (the chairman assignment problem; Tijdeman, 1980), so each domain is
within two. Percentages and round robin use the same layout; round robin then fills its batches with
each route's recipients.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from mailsluice.core.pieces import pieces

Routes = npt.NDArray[np.int16]
_Integers = npt.NDArray[np.int64]


def lay_out(counts: Sequence[int]) -> Routes:
    """Arrange routes in a sequence in which each has its exact rate everywhere.

    Route i occurs `counts[i]` times. In every prefix it is less than one message away from its
    share, so in every stretch of the sequence it is less than two messages away.
    """
    common = math.gcd(*counts)
    if common == 0:
        return np.empty(0, np.int16)
    used = [i for i, count in enumerate(counts) if count]
    period = [counts[i] // common for i in used]
    blocks = _alternate(*period) if len(used) == 2 else _by_deadline(period)
    return np.tile(np.array(used, np.int16)[np.concatenate(list(blocks))], common)


def _alternate(first: int, second: int) -> Iterator[Routes]:
    """Lay out two routes: every prefix holds the first route's share of it, rounded."""
    total = first + second
    for start, end in pieces(total):
        reached = (2 * first * np.arange(start, end + 1, dtype=np.int64) + total) // (2 * total)
        yield (1 - np.diff(reached)).astype(np.int16)


def _by_deadline(counts: Sequence[int]) -> Iterator[Routes]:
    """Lay out any number of routes (the chairman assignment problem, R. Tijdeman, 1980).

    A route stays between the floor and the ceiling of its share of every prefix if its j-th message
    (from 0) has a position from floor(j * total / count) to before ceil((j + 1) * total / count).
    Such a schedule exists, and for jobs of one unit, earliest deadline first finds it.
    """
    heap: list[int] = []
    for start, end in pieces(sum(counts)):
        arrivals, jobs = _released(counts, start, end)
        done = _run(heap, arrivals.tolist(), iter(jobs.tolist()))
        yield (done % len(counts)).astype(np.int16)


def _released(counts: Sequence[int], start: int, end: int) -> tuple[_Integers, _Integers]:
    """Return how many jobs are released at each of these positions, and the jobs in that order.

    A job is an integer that holds its deadline in front and its route at the end, so that a heap
    compares integers.
    """
    total = sum(counts)
    releases, jobs = [], []
    for route, count in enumerate(counts):
        j = np.arange(-(-start * count // total), -(-end * count // total))
        releases.append(j * total // count - start)
        jobs.append(-(-(j + 1) * total // count) * len(counts) + route)
    release = np.concatenate(releases)
    ordered = np.concatenate(jobs)[np.argsort(release, kind="stable")]
    return np.bincount(release, minlength=end - start), ordered


def _run(heap: list[int], arrivals: list[int], ready: Iterator[int]) -> _Integers:
    """Do one job at each position, the one with the earliest deadline; the heap keeps the rest."""
    done = []
    for arriving in arrivals:
        if arriving == 1:
            done.append(heapq.heappushpop(heap, next(ready)))
        else:
            for job in islice(ready, arriving):
                heapq.heappush(heap, job)
            done.append(heapq.heappop(heap))
    return np.array(done, np.int64)
