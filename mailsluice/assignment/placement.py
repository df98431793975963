"""Place each recipient on a connection and a day. Pure.

An assignment gives every recipient its route. When a route's connection warms up, the recipients
over its cap wait for a later day, or go over another connection. These are the last recipients of
the route in send order. So every day has the same mix of domains, and a connection that takes over
recipients mixes them with its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.assignment import Assignment, Keys
from mailsluice.assignment.layout import Routes
from mailsluice.assignment.warming import Warming, WarmUpState, warming
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.core.moves import Move, MoveReason, placed, shares_after

Moments = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """The connection and the day of each of n recipients."""

    assignment: Assignment
    connections: tuple[str, ...]
    """The campaign's connections in the order of its routes, and then those that only take over."""
    percents: tuple[Decimal, ...] | None
    """The routes' shares on the day of the launch, in percentage mode."""
    shares: Mapping[str, Decimal]
    """Shares of the campaign's limits, as fractions; recipients that move take theirs along."""
    warmings: tuple[Warming, ...] = ()

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
            change = (digest, part.connection, part.days, part.spilled, part.warm_up.spill_to)
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
            placed = part.days[0][1]
            for day, count in part.days[1:]:
                due[positions[placed : placed + count]] = part.warm_up.begins(day)
                placed += count
            if part.warm_up.spill_to and part.spilled:
                routes[positions[placed:]] = self.connections.index(part.warm_up.spill_to)
        return routes, due


def place(
    campaign: Campaign, assignment: Assignment, day: date, warm_ups: Mapping[str, WarmUpState]
) -> Placement:
    """Apply the warm-ups to an assignment.

    Args:
        campaign: The campaign.
        assignment: The assignment by the shares of `day`.
        day: The day of the launch.
        warm_ups: The warm-ups of the routes' connections, and of those that they spill to.

    Raises:
        CampaignError: A connection spills to another one that warms up itself.
    """
    names = [route.connection for route in campaign.routes]
    cold = {
        name: state for name, state in warm_ups.items() if state.cap_on(state.today) is not None
    }
    warmings = [
        warming(name, count, cold[name])
        for name, count in zip(names, assignment.quotas, strict=True)
        if name in cold
    ]
    for part in warmings:
        target = part.warm_up.spill_to
        if target in cold:
            raise CampaignError(
                f"connection {part.connection!r} spills to {target!r}, which warms up"
                " itself: name an established connection in its warm-up"
            )
    spills = _spills(warmings)
    percents = campaign.percents(day)
    return Placement(
        assignment,
        tuple(dict.fromkeys([*names, *(move.target for move in spills)])),
        tuple(percents) if percents else None,
        shares_after(campaign.shares(day), spills),
        tuple(warmings),
    )


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
