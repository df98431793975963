"""Place each recipient on a connection and a day. Pure.

An assignment gives every recipient its route. When a route's connection warms up, the recipients
over its cap wait for a later day, or go over another connection. These are the last recipients of
the route in send order, and where mailbox providers have caps of their own, of each provider there.
So every day has the same mix of domains, and a connection that takes over recipients mixes them
with its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.assignment import Assignment, Keys, Numbers, Positions
from mailsluice.assignment.layout import Routes
from mailsluice.assignment.warm_up_days import by_day, warming
from mailsluice.assignment.warming import Warming, WarmUpState
from mailsluice.campaign import Campaign, Strategy
from mailsluice.core.errors import CampaignError
from mailsluice.core.moves import Move, MoveReason, placed, shares_after
from mailsluice.core.status import UNCLAIMED

Moments = npt.NDArray[np.float64]

_STEP_SECONDS = 2.0**-20
"""Claims take the recipients that are due first. So those of a later day are due one after the
other, in send order."""


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """The mailbox providers of n recipients."""

    numbers: Numbers
    """(n,) by audience index, from 1."""
    names: tuple[str, ...]
    """The providers, in the order of their numbers."""

    def counts(self, recipients: Positions) -> dict[str, int]:
        """Count these recipients, given by audience index, by provider."""
        counts = np.bincount(self.numbers[recipients], minlength=len(self.names) + 1)[1:]
        return dict(zip(self.names, counts.tolist(), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """The connection and the day of each of n recipients."""

    assignment: Assignment
    connections: tuple[str, ...]
    """The campaign's connections in the order of its routes, and then those that only take over.
    With the strategy `throughput`, the pool alone."""
    percents: tuple[Decimal, ...] | None
    """The routes' shares on the day of the launch, in percentage mode."""
    shares: Mapping[str, Decimal]
    """Shares of the campaign's limits, as fractions; recipients that move take theirs along."""
    warmings: tuple[Warming, ...] = ()
    hosts: Hosts | None = None

    @property
    def assigned(self) -> dict[str, int]:
        """Recipients that were assigned to each connection, before any moved."""
        extra = len(self.connections) - len(self.assignment.quotas)
        return dict(zip(self.connections, (*self.assignment.quotas, *[0] * extra), strict=True))

    @property
    def counts(self) -> dict[str, int]:
        """Recipients that each connection sends to."""
        return placed(self.assigned, self.moved)

    @property
    def moved(self) -> list[Move]:
        """Recipients that go over another connection than the assigned one."""
        return _spills(self.warmings)

    def digest(self, address_keys: Keys) -> str:
        """Return the SHA-256 (hex) of recipients, connections and days, in send order.

        `address_keys` (n, 2) are the keys that were assigned.
        """
        digest = self.assignment.digest(address_keys)
        for part in self.warmings:
            change: tuple[object, ...] = (digest, part.connection, part.days, part.spilled)
            change += (part.warm_up.spill_to,)
            change += tuple((own.provider, own.days, own.spilled) for own in part.providers)
            if part.spilled or len(part.days) > 1:
                digest = hashlib.sha256(repr(change).encode()).hexdigest()
        return digest

    def moves(self) -> tuple[Routes, Moments]:
        """Return the connection and the earliest moment of each recipient, by send position (n,).

        The connection is an index into `connections`. The moment is in seconds since the epoch;
        NaN: at once.
        """
        routes = self.assignment.route.copy()
        due = np.full(len(routes), np.nan)
        for part in self.warmings:
            index = self.connections.index(part.connection)
            positions = np.flatnonzero(self.assignment.route == index)
            days = self._days(part, positions)
            for number, (day, count) in enumerate(part.days[1:], start=1):
                steps = np.arange(count) * _STEP_SECONDS
                due[positions[days == number]] = part.warm_up.begins(day) + steps
            if part.warm_up.spill_to and part.spilled:
                over = days == len(part.days)
                routes[positions[over]] = self.connections.index(part.warm_up.spill_to)
        return routes, due

    def _days(self, part: Warming, positions: Positions) -> Routes:
        """Return the index of each recipient's day, by send position; past the last: it spills.

        `positions` are those of the connection. The first recipients of each provider with caps of
        its own, and the first of all others, go first.
        """
        table = by_day(part)
        indices = np.arange(table.shape[1], dtype=np.int16)
        if len(table) == 1 or self.hosts is None:
            return np.repeat(indices, table.sum(axis=0))
        rows = {own.provider: row for row, own in enumerate(part.providers)}
        row_of = np.array([len(rows), *(rows.get(name, len(rows)) for name in self.hosts.names)])
        provider = self.hosts.numbers[self.assignment.order[positions]]
        days = np.empty(len(positions), np.int16)
        in_turn = np.argsort(row_of[provider], kind="stable")
        days[in_turn] = np.repeat(np.tile(indices, len(table)), table.ravel())
        return days


def place(
    campaign: Campaign,
    assignment: Assignment,
    day: date,
    warm_ups: Mapping[str, WarmUpState],
    hosts: Hosts | None = None,
) -> Placement:
    """Apply the warm-ups to an assignment.

    Args:
        campaign: The campaign.
        assignment: The assignment by the shares of `day`.
        day: The day of the launch.
        warm_ups: The warm-ups of the routes' connections, and of those that they spill to.
        hosts: The recipients' mailbox providers, if warm-ups have caps for them.

    Raises:
        CampaignError: A connection spills to another one that warms up itself, or a standby warms
            up.
    """
    if campaign.strategy is Strategy.THROUGHPUT:  # warm-ups bound what is claimed on a day
        return Placement(assignment, (UNCLAIMED,), None, campaign.shares(day), hosts=hosts)
    names = [route.connection for route in campaign.sharing]
    cold = {name: state for name, state in warm_ups.items() if state.has_cap}
    warmings = [
        warming(name, count, cold[name], _by_provider(assignment, route, cold[name], hosts))
        for route, (name, count) in enumerate(zip(names, assignment.quotas, strict=True))
        if name in cold
    ]
    for part in warmings:
        target = part.warm_up.spill_to
        if target in cold:
            raise CampaignError(
                f"connection {part.connection!r} spills to {target!r}, which warms up"
                " itself: name an established connection in its warm-up"
            )
    for standby in campaign.standbys:
        if standby in cold:
            raise CampaignError(
                f"connection {standby!r} is a standby, which has to take over any number of"
                " recipients, but it warms up: name an established connection"
            )
    spills = _spills(warmings)
    percents = campaign.percents(day)
    return Placement(
        assignment,
        tuple(dict.fromkeys([*names, *(move.target for move in spills), *campaign.standbys])),
        tuple(percents) if percents else None,
        shares_after(campaign.shares(day), spills),
        tuple(warmings),
        hosts,
    )


def _by_provider(
    assignment: Assignment, route: int, state: WarmUpState, hosts: Hosts | None
) -> dict[str, int]:
    """Count a route's recipients at each provider that has caps of its own there."""
    if hosts is None or not state.providers:
        return {}
    counts = hosts.counts(assignment.order[assignment.route == route])
    return {name: count for name, count in counts.items() if count and name in state.providers}


def _spills(warmings: Iterable[Warming]) -> list[Move]:
    return [
        Move(
            part.connection,
            part.warm_up.spill_to,
            MoveReason.WARM_UP,
            part.spilled,
            part.recipients,
        )
        for part in warmings
        if part.warm_up.spill_to and part.spilled
    ]
