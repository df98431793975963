"""Which recipient goes over which route, and in which order.

A pure function of the campaign's name, its routes' shares on a day and the set of addresses:
neither the order of the input rows nor the process changes anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.layout import Routes, lay_out
from mailsluice.campaign import Campaign, Strategy
from mailsluice.core.pieces import pieces
from mailsluice.limits.apportionment import quotas, round_robin_quotas

Keys = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]


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
        for start, end in pieces(len(self.order)):
            result.update(address_keys[self.order[start:end]].astype("<u8").tobytes())
            result.update(self.route[start:end].astype("<i2").tobytes())
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
    domains = _mix(domain_keys, _salt(campaign.name, "domain"))[mixed]
    route = np.empty(total, np.int16)
    route[np.argsort(domains, kind="stable")] = lay_out(counts)
    if campaign.strategy is not Strategy.ROUND_ROBIN:
        return Assignment(mixed, route, tuple(counts))
    del domains
    slots = _slots(total, campaign.batch_size, len(counts))
    order = np.empty(total, np.int64)
    for i in range(len(counts)):
        order[slots == i] = mixed[route == i]
    return Assignment(order, slots, tuple(counts))


def _quotas(total: int, campaign: Campaign, day: date) -> list[int]:
    if campaign.strategy is Strategy.ROUND_ROBIN:
        return round_robin_quotas(total, campaign.batch_size, len(campaign.routes))
    return quotas(total, list(campaign.shares(day).values()))


def _slots(total: int, batch_size: int, routes: int) -> Routes:
    """Say whose turn it is at each send position."""
    result = np.empty(total, np.int16)
    for start, end in pieces(total):
        result[start:end] = np.arange(start, end) // batch_size % routes
    return result


def _by_mixed_key(address_keys: Keys, salt: np.uint64) -> Positions:
    """Sort by an order that depends on the campaign, so that two do not split people alike."""
    first = _mix(address_keys[:, 0], salt)
    order = np.argsort(first)
    for start, end in pieces(len(order)):
        ordered = first[order[start : end + 1]]
        if np.any(ordered[1:] == ordered[:-1]):  # once in 100,000 audiences of 10,000,000
            return np.lexsort((address_keys[:, 1], first))
    return order


def _salt(name: str, purpose: str) -> np.uint64:
    digest = hashlib.sha256(f"{purpose}\0{name}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def _mix(keys: Keys, salt: np.uint64) -> Keys:
    """Permute 64-bit keys (the finalizer of SplitMix64, Steele, Lea and Flood, 2014)."""
    mixed = keys ^ salt
    for start, end in pieces(len(mixed)):
        block = mixed[start:end]
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            block ^= block >> np.uint64(shift)
            block *= np.uint64(factor)
        block ^= block >> np.uint64(31)
    return mixed
