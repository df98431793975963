"""The plan by mailbox provider: what each connection sends to it, what binds, and the end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.layout import Routes
from mailsluice.assignment.placement import Placement
from mailsluice.assignment.warming import Warming
from mailsluice.campaign import Campaign, Throttle
from mailsluice.campaign.estimate import Load
from mailsluice.campaign.provider_entry import entry_of
from mailsluice.limits import Bound, bounds
from mailsluice.mailbox_providers import UNRESOLVED, title_of
from mailsluice.operations.plan.plan import ConnectionPlan
from mailsluice.operations.plan.provider_plan import ProviderPlan
from mailsluice.smtp.connection import Connection

MOST_PROVIDERS = 12
"""Providers that a plan lists; it sums the smaller ones up."""
Counts = npt.NDArray[np.int64]
Releases = Sequence[tuple[datetime, int]]
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Hosted:
    """The recipients of each of p mailbox providers, by connection."""

    names: Sequence[str]
    """The providers, the one with most recipients first."""
    counts: Counts
    """(connections, p)"""


def hosted(
    routes: Routes, placement: Placement, providers: npt.NDArray[np.int16], names: Sequence[str]
) -> Hosted:
    """Count the recipients of each provider that each connection of the placement sends to.

    Args:
        routes: (n,), the index of the connection at each send position.
        placement: The placement.
        providers: (n,), the number of each recipient's provider, from 1, in the audience's order.
        names: The providers by number.
    """
    shape = len(placement.connections), len(names) + 1
    pairs = routes.astype(np.int64) * shape[1]
    pairs += providers[placement.assignment.order]
    counts = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
    return Hosted(names, counts[:, 1:])


def provider_plans(
    campaign: Campaign,
    placement: Placement,
    connection: Connection,
    load: Load,
    mail: Hosted,
) -> list[ProviderPlan]:
    """Plan the mail of one connection by provider: the largest ones, and the rest in sum.

    The send order mixes providers. So the mail to a provider, or on its last day of a warm-up, is
    done with the connection, unless limits of the provider take longer.

    Args:
        campaign: The campaign.
        placement: Its placement.
        connection: The connection.
        load: All recipients of the connection, with its limits.
        mail: The recipients by connection and provider.
    """
    counts = mail.counts[placement.connections.index(connection.name)]
    days = _Days(placement, connection.name, load)

    def plan(number: int) -> ProviderPlan:
        count, name = int(counts[number]), mail.names[number]
        releases = days.of(name, count)
        last = max((at for at, due in releases if due), default=load.starts_at)
        loads = [replace(load, releases=[each for each in load.releases if each[0] <= last])]
        if limits := _bounds(campaign, placement, connection, name):
            loads.append(replace(load, releases=releases, bounds=limits))
        slowest = max(loads, key=lambda each: _late(each.ends_at()))
        return ProviderPlan(name, connection.name, count, slowest.binding(), slowest.ends_at())

    shown = [plan(number) for number in np.flatnonzero(counts[:MOST_PROVIDERS]).tolist()]
    if smaller := int(counts[MOST_PROVIDERS:].sum()):
        candidates = {*_slowest(campaign, connection, mail.names, counts), *days.latest(mail.names)}
        slow = [plan(number) for number in sorted(candidates)]
        last = max(slow, key=lambda part: _late(part.ends_at))
        shown.append(replace(last, provider=None, count=smaller))
    return shown


def released(of: Warming, starts_at: datetime) -> list[tuple[datetime, int]]:
    """Return when recipients of a warm-up become due, and how many."""
    (_, now), *later = of.days
    begins = of.warm_up.begins
    waiting = [(datetime.fromtimestamp(begins(day), UTC), number) for day, number in later]
    return [(starts_at, now), *waiting]


def _slowest(
    campaign: Campaign, connection: Connection, names: Sequence[str], counts: Counts
) -> Iterator[int]:
    """The smaller providers of which one is done last: those with an entry, and the largest."""
    listed = {entry.provider for entry in (*campaign.per_provider, *connection.per_provider)}
    smaller, listed = range(MOST_PROVIDERS, len(names)), listed | {UNRESOLVED}
    yield from (number for number in smaller if names[number] in listed and counts[number])
    others = [number for number in smaller if names[number] not in listed]
    if others:
        yield max(others, key=lambda number: int(counts[number]))


class _Days:
    """The days on which the recipients of one connection become due, by provider."""

    def __init__(self, placement: Placement, connection: str, load: Load) -> None:
        found = (each for each in placement.warmings if each.connection == connection)
        self._warming = next(found, None)
        self._load = load
        self._parts: dict[str, Warming] = {}
        self._left: list[int] = []
        """The places of each day that the caps of single providers leave."""
        if self._warming:
            self._parts = {part.provider: part for part in self._warming.providers}
            capped = Counter[date]()
            for part in self._parts.values():
                capped.update(dict(part.days))
            self._left = [number - capped[day] for day, number in self._warming.days]

    def of(self, provider: str, count: int) -> Releases:
        """When the recipients of a provider become due, and how many of them.

        Those of a provider without caps of its own have each day's places that the caps leave, in
        proportion.
        """
        if self._warming is None:
            return [(self._load.starts_at, count)]
        if part := self._parts.get(provider):
            of_part = dict(part.days)
            due = [of_part.get(day, 0) for day, _ in self._warming.days]
        else:
            due = [number * count // (sum(self._left) or 1) for number in self._left]
        return [(at, number) for (at, _), number in zip(self._load.releases, due, strict=True)]

    def latest(self, names: Sequence[str]) -> list[int]:
        """The number of the smaller provider whose own caps need most days, if there is one."""
        smaller = {name: number for number, name in enumerate(names) if number >= MOST_PROVIDERS}
        needs = {name: part.days[-1] for name, part in self._parts.items() if name in smaller}
        return [smaller[max(needs, key=lambda name: needs[name])]] if needs else []


def _bounds(
    campaign: Campaign, placement: Placement, connection: Connection, provider: str
) -> list[Bound]:
    """The limits on the mail of one connection to one provider."""
    own, shared = (
        entry_of(entries, provider) or Throttle()
        for entries in (connection.per_provider, campaign.per_provider)
    )
    found = bounds(own, shared, placement.shares, connection.name)
    return [replace(bound, whose=f"{bound.whose}, for {title_of(provider)}") for bound in found]


def _late(ends_at: datetime | None) -> datetime:
    return ends_at or _NEVER


def with_providers(whole: ConnectionPlan, parts: Sequence[ProviderPlan]) -> ConnectionPlan:
    """The plan of a connection that is done when the last of its providers is done."""
    last = max(parts, key=lambda part: _late(part.ends_at), default=None)
    if last is None or _late(last.ends_at) <= _late(whole.ends_at):
        return whole
    return replace(whole, binding=last.binding, ends_at=last.ends_at)
