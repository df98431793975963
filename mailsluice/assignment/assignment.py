"""Assign recipients to routes, and put them in the send order. Pure.

The assignment is a function of the campaign's name, its routes' shares on a day, and the set of
addresses with their mailbox providers, the values that order them, and with affinity the routes
that they had before. Neither the order of the input rows nor the process makes a difference.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.dealing import deal
from mailsluice.assignment.keeping import NEW, Groups, groups_of, lay_out_keeping
from mailsluice.assignment.layout import Routes, lay_out
from mailsluice.campaign import Campaign, Strategy
from mailsluice.core.affinity_counts import AffinityCounts
from mailsluice.core.pieces import pieces
from mailsluice.limits.apportionment import quotas, round_robin_quotas

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int16]
Positions = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """The route and the place in the send order of each of n recipients."""

    order: Positions
    """(n,) audience index of the recipient at each send position."""
    route: Routes
    """(n,) index into the campaign's routes, by send position."""
    quotas: tuple[int, ...]
    """Recipients of each route; together n."""
    affinity: AffinityCounts | None = None
    """None for a campaign without affinity."""

    def digest(self, address_keys: Keys) -> str:
        """Return the SHA-256 (hex) of the recipients with their routes, in send order.

        `address_keys` (n, 2) are the keys that were assigned. The same set of addresses has the
        same digest, whatever the order of its rows.
        """
        result = hashlib.sha256()
        for start, end in pieces(len(self.order)):
            result.update(address_keys[self.order[start:end]].astype("<u8").tobytes())
            result.update(self.route[start:end].astype("<i2").tobytes())
        return result.hexdigest()


def assign(
    address_keys: Keys,
    domain_keys: Keys,
    campaign: Campaign,
    day: date,
    providers: Numbers | None = None,
    values: Values | None = None,
    remembered: Routes | None = None,
) -> Assignment:
    """Give every recipient its route and its place in the send order, by the shares of a day.

    The routes' totals are exact, and within every mailbox provider and every domain each route is
    less than two messages away from its share. The send order mixes domains. For round robin over k
    routes, send position i has route (i // batch_size) mod k.

    With the strategy `throughput` there is one route, the pool: connections claim from it later.
    Its order says nothing about domains, so what a connection claims is a random sample.

    In a campaign with an order, each route has its recipients in that order, and equal ones mixed.
    See `dealing` for how the first recipients are shared out as evenly as all. In a campaign with
    affinity, as many recipients as possible keep their route (see `keeping`): then the totals are
    exact, and the parts as near to the shares as those recipients allow.

    Args:
        address_keys: (n, 2), a distinct 128-bit key for each address.
        domain_keys: (n,), a 64-bit key for the domain of each address.
        campaign: The campaign, with its routes.
        day: The day whose shares count.
        providers: (n,), the number of each recipient's mailbox provider; a domain has one provider.
            None: all recipients have the same one.
        values: (n,), what a campaign with an order is ordered by; NaN comes last.
        remembered: (n,), the route of each recipient in earlier campaigns, or else NEW or
            ELSEWHERE; None: the campaign has no affinity.
    """
    total = len(address_keys)
    mixed = _by_mixed_key(address_keys, _salt(campaign.name, "address"))
    if values is not None:
        mixed = _ordered(mixed, values, is_descending=campaign.order_descending)
    if campaign.strategy is Strategy.THROUGHPUT:
        return Assignment(mixed, np.zeros(total, np.int16), (total,))
    counts = _quotas(total, campaign, day)
    grouped = _grouped(campaign.name, mixed, domain_keys, providers)
    if values is not None:
        deal(grouped, mixed, domain_keys, providers)
    route = np.empty(total, np.int16)
    affinity = None
    if remembered is None:
        route[grouped] = lay_out(counts)
    else:
        known, groups = _known(mixed[grouped], domain_keys, providers, remembered)
        route[grouped] = lay_out_keeping(counts, known, groups)
        del known, groups
        affinity = _counted(campaign.affinity_group, route, remembered[mixed])
    del grouped
    if campaign.strategy is not Strategy.ROUND_ROBIN:
        return Assignment(mixed, route, tuple(counts), affinity)
    slots = _slots(total, campaign.batch_size, len(counts))
    order = np.empty(total, np.int64)
    for i in range(len(counts)):
        order[slots == i] = mixed[route == i]
    return Assignment(order, slots, tuple(counts), affinity)


def _known(
    recipients: Positions, domain_keys: Keys, providers: Numbers | None, remembered: Routes
) -> tuple[Routes, Groups]:
    """Return the remembered routes and the groups of recipients, in the order of the layout."""
    of_domain = domain_keys[recipients]
    groups = groups_of(of_domain, None if providers is None else providers[recipients])
    return remembered[recipients], groups


def _counted(group: str, route: Routes, remembered: Routes) -> AffinityCounts:
    kept, new = np.count_nonzero(route == remembered), np.count_nonzero(remembered == NEW)
    return AffinityCounts(group, int(kept), len(route) - int(kept + new), int(new))


def _quotas(total: int, campaign: Campaign, day: date) -> list[int]:
    if campaign.strategy is Strategy.ROUND_ROBIN:
        return round_robin_quotas(total, campaign.batch_size, len(campaign.sharing))
    return quotas(total, list(campaign.shares(day).values()))


def _slots(total: int, batch_size: int, routes: int) -> Routes:
    """Return the route whose turn it is at each send position."""
    result = np.empty(total, np.int16)
    for start, end in pieces(total):
        result[start:end] = np.arange(start, end) // batch_size % routes
    return result


def _by_mixed_key(address_keys: Keys, salt: np.uint64) -> Positions:
    """Sort in an order that depends on the campaign, so that campaigns split people differently."""
    first = _mix(address_keys[:, 0], salt)
    order = np.argsort(first)
    for start, end in pieces(len(order)):
        ordered = first[order[start : end + 1]]
        if np.any(ordered[1:] == ordered[:-1]):  # in one of 100,000 audiences of 10,000,000
            return np.lexsort((address_keys[:, 1], first))
    return order


def _ordered(mixed: Positions, values: Values, *, is_descending: bool) -> Positions:
    """Sort by value, where equal values keep their order."""
    sorting = values[mixed]
    if is_descending:
        np.negative(sorting, out=sorting)
    return mixed[np.argsort(sorting, kind="stable")]


def _grouped(
    name: str, mixed: Positions, domain_keys: Keys, providers: Numbers | None
) -> Positions:
    """Sort send positions by provider and by domain within it; both in an order of the campaign."""
    by_domain = np.argsort(_mix(domain_keys, _salt(name, "domain"))[mixed], kind="stable")
    if providers is None:
        return by_domain
    numbers = np.arange(int(providers.max(initial=0)) + 1, dtype=np.uint64)
    places = np.argsort(_mix(numbers, _salt(name, "provider"))).astype(np.int16)
    by_provider = np.argsort(places[providers[mixed[by_domain]]], kind="stable")
    return by_domain[by_provider]


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
