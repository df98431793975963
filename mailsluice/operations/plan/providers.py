"""The plan by mailbox provider: what each connection sends to it, what binds, and the end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.layout import Routes
from mailsluice.assignment.placement import Placement
from mailsluice.assignment.warming import Warming
from mailsluice.campaign import Campaign, Throttle
from mailsluice.campaign.estimate import HORIZON, Load
from mailsluice.campaign.provider_entry import entry_of
from mailsluice.limits import Bound, bounds
from mailsluice.mailbox_providers import UNRESOLVED, title_of
from mailsluice.operations.plan.plan import ConnectionPlan
from mailsluice.operations.plan.provider_plan import ProviderPlan
from mailsluice.smtp.connection import Connection

MOST_PROVIDERS = 12
"""Providers that a plan lists; it sums the smaller ones up."""
Counts = npt.NDArray[np.int64]


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
    whole: ConnectionPlan,
    load: Load,
    mail: Hosted,
) -> list[ProviderPlan]:
    """Plan the mail of one connection by provider: the largest ones, and the rest in sum.

    A provider without a limit of its own is done with the connection, whose send order mixes
    providers. So is one whose limits allow more than the connection sends. A provider with caps of
    its own during a warm-up has its own days.

    Args:
        campaign: The campaign.
        placement: Its placement.
        connection: The connection.
        whole: Its plan under its own limits.
        load: Its recipients, by when they become due, and its own limits.
        mail: The recipients by connection and provider.
    """
    own_days = {
        part.provider: released(part, load.starts_at)
        for warming in placement.warmings
        if warming.connection == connection.name
        for part in warming.providers
    }
    counts = mail.counts[placement.connections.index(connection.name)]

    def plan(number: int) -> ProviderPlan:
        count, name = int(counts[number]), mail.names[number]
        alone = ProviderPlan(name, connection.name, count, whole.binding, whole.ends_at)
        limits = _bounds(campaign, placement, connection, name)
        if days := own_days.get(name):
            part = replace(load, releases=days, bounds=limits or load.bounds)
            return replace(alone, binding=part.binding(), ends_at=part.ends_at())
        if not limits:
            return alone
        parts = [(at, due * count // whole.count) for at, due in load.releases]
        part = replace(load, releases=parts, bounds=limits)
        ends_at = part.ends_at()
        if _late(ends_at, whole) <= _late(whole.ends_at, whole):
            return alone
        return replace(alone, binding=part.binding(), ends_at=ends_at)

    shown = [plan(number) for number in np.flatnonzero(counts[:MOST_PROVIDERS]).tolist()]
    if smaller := int(counts[MOST_PROVIDERS:].sum()):
        slow = [plan(number) for number in _slowest(campaign, connection, mail.names, counts)]
        last = max(slow, key=lambda part: _late(part.ends_at, whole))
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
    if not listed:
        yield MOST_PROVIDERS
        return
    smaller, listed = range(MOST_PROVIDERS, len(names)), listed | {UNRESOLVED}
    yield from (number for number in smaller if names[number] in listed and counts[number])
    others = [number for number in smaller if names[number] not in listed]
    if others:
        yield max(others, key=lambda number: int(counts[number]))


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


def _late(ends_at: datetime | None, whole: ConnectionPlan) -> datetime:
    return ends_at or whole.starts_at + HORIZON


def with_providers(whole: ConnectionPlan, parts: Sequence[ProviderPlan]) -> ConnectionPlan:
    """The plan of a connection that is done when the last of its providers is done."""
    if not parts:
        return whole
    last = max(parts, key=lambda part: _late(part.ends_at, whole))
    return replace(whole, binding=last.binding, ends_at=last.ends_at)
