"""Which recipient goes over which route, and in which order.

A pure function of the campaign's name, its routes' shares on a day and the set of addresses:
neither the order of the input rows nor the process changes anything.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice

import numpy as np
import numpy.typing as npt

from mailsluice.apportionment import quotas, round_robin_quotas
from mailsluice.campaign import Campaign, Strategy

Keys = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Routes = npt.NDArray[np.int16]

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """The decision about a whole audience of n recipients."""

    order: Positions
    """(n,) audience index of the recipient at each send position."""
    route: Routes
    """(n,) index into the campaign's routes, by send position."""
    quotas: tuple[int, ...]
    """Recipients of each route; together n."""

    def digest(self, address_keys: Keys) -> str:
        """SHA-256 (hex) of who gets the mail, over which route, in which order.

        `address_keys` (n, 2) are the keys that were assigned. The same set of addresses gives the
        same digest, in whatever order its rows came.
        """
        result = hashlib.sha256()
        for start in range(0, len(self.order), _BLOCK):
            block = slice(start, start + _BLOCK)
            result.update(address_keys[self.order[block]].astype("<u8").tobytes())
            result.update(self.route[block].astype("<i2").tobytes())
        return result.hexdigest()


def assign(address_keys: Keys, domain_keys: Keys, campaign: Campaign, day: date) -> Assignment:
    """Give every recipient its route and its place in the send order, by the shares of a day.

    `address_keys` (n, 2) holds a distinct 128-bit key for each address, `domain_keys` (n,) one for
    its domain. The routes' totals are exact, and within every domain each route is less than two
    messages away from its share. The send order mixes domains; for round robin, send position i
    has route (i // batch_size) mod k as well.
    """
    total = len(address_keys)
    counts = _quotas(total, campaign, day)
    mixed = _by_mixed_key(address_keys, _salt(campaign.name, "address"))
    domains = _mix(domain_keys[mixed], _salt(campaign.name, "domain"))
    route = np.empty(total, np.int16)
    route[np.argsort(domains, kind="stable")] = lay_out(counts)
    if campaign.strategy is not Strategy.ROUND_ROBIN:
        return Assignment(mixed, route, tuple(counts))
    slots = (np.arange(total) // campaign.batch_size % len(counts)).astype(np.int16)
    order = np.empty(total, np.int64)
    order[np.argsort(slots, kind="stable")] = mixed[np.argsort(route, kind="stable")]
    return Assignment(order, slots, tuple(counts))


def lay_out(counts: Sequence[int]) -> Routes:
    """Arrange routes in a sequence that has each at its exact rate everywhere.

    Route i occurs `counts[i]` times, and in every prefix it is less than one message away from its
    share; so in every run of the sequence it is less than two away.
    """
    common = math.gcd(*counts)
    if common == 0:
        return np.empty(0, np.int16)
    used = [i for i, count in enumerate(counts) if count]
    period = [counts[i] // common for i in used]
    pattern = _alternate(*period) if len(used) == 2 else _by_deadline(period)
    return np.tile(np.array(used, np.int16)[pattern], common)


def _quotas(total: int, campaign: Campaign, day: date) -> list[int]:
    if campaign.strategy is Strategy.ROUND_ROBIN:
        return round_robin_quotas(total, campaign.batch_size, len(campaign.routes))
    return quotas(total, list(campaign.shares(day).values()))


def _alternate(first: int, second: int) -> Routes:
    """Lay out two routes: the first one's share of every prefix, rounded."""
    total = first + second
    reached = (2 * first * np.arange(total + 1, dtype=np.int64) + total) // (2 * total)
    return (1 - np.diff(reached)).astype(np.int16)


def _by_deadline(counts: Sequence[int]) -> Routes:
    """Lay out any number of routes (the chairman assignment problem, R. Tijdeman, 1980).

    A route stays between the floor and the ceiling of its share of every prefix where its j-th
    message (from 0) has a position from floor(j * total / count) to ceil((j + 1) * total / count),
    the last one excluded. Such a schedule exists, and for jobs of one unit the earliest deadline
    first finds it.
    """
    total = sum(counts)
    result = np.empty(total, np.int16)
    start = 0
    for block in _schedule(counts, total):
        result[start : start + len(block)] = block
        start += len(block)
    return result


def _schedule(counts: Sequence[int], total: int) -> Iterator[Routes]:
    release = np.concatenate([np.arange(c, dtype=np.int64) * total // c for c in counts])
    # One integer a job, deadline first, so that the heap compares integers.
    jobs = np.concatenate(
        [-(-np.arange(1, c + 1) * total // c) * len(counts) + i for i, c in enumerate(counts)]
    )
    jobs = jobs[np.argsort(release, kind="stable")]
    released = np.bincount(release, minlength=total)
    del release
    heap: list[int] = []
    taken = 0
    for start in range(0, total, _BLOCK):
        arrivals = released[start : start + _BLOCK]
        ready = jobs[taken : taken + int(arrivals.sum())]
        taken += len(ready)
        yield (_run(heap, arrivals.tolist(), iter(ready.tolist())) % len(counts)).astype(np.int16)


def _run(heap: list[int], arrivals: list[int], ready: Iterator[int]) -> Positions:
    done = []
    for arriving in arrivals:
        if arriving == 1:
            done.append(heapq.heappushpop(heap, next(ready)))
        else:
            for job in islice(ready, arriving):
                heapq.heappush(heap, job)
            done.append(heapq.heappop(heap))
    return np.array(done, np.int64)


def _by_mixed_key(address_keys: Keys, salt: np.uint64) -> Positions:
    """Sort by an order that depends on the campaign, so that two do not split people alike."""
    first = _mix(address_keys[:, 0], salt)
    order = np.argsort(first)
    ordered = first[order]
    if np.any(ordered[1:] == ordered[:-1]):  # once in 100,000 audiences of 10,000,000
        return np.lexsort((address_keys[:, 1], first))
    return order


def _salt(name: str, purpose: str) -> np.uint64:
    digest = hashlib.sha256(f"{purpose}\0{name}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def _mix(keys: Keys, salt: np.uint64) -> Keys:
    """Permute 64-bit keys (the finalizer of SplitMix64, Steele, Lea and Flood, 2014)."""
    mixed = keys ^ salt
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
