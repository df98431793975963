"""Over which connection, and on which day, each recipient is sent to. Pure.

An assignment gives every recipient its route; where a route's connection warms up, who is over its
cap waits for a later day, or goes over another connection. Those are the last of the route in send
order, so all days see the same mix of domains, and a connection that takes over gets them among its
own.
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
    """The decision about a whole audience of n recipients."""

    assignment: Assignment
    connections: tuple[str, ...]
    """The campaign's, in the order of its routes; then those that only take over."""
    percents: tuple[Decimal, ...] | None
    """The routes' shares on the day of the launch, in percentage mode."""
    shares: Mapping[str, Decimal]
    """Of the campaign's limits, as fractions: recipients that go elsewhere take theirs along."""
    warmings: tuple[Warming, ...] = ()

    @property
    def assigned(self) -> dict[str, int]:
        """Recipients that were given to each connection, before any went elsewhere."""
        extra = len(self.connections) - len(self.assignment.quotas)
        return dict(zip(self.connections, (*self.assignment.quotas, *[0] * extra), strict=True))

    @property
    def counts(self) -> dict[str, int]:
        """Recipients that are sent to over each connection."""
        return placed(self.assigned, self.moved)

    @property
    def moved(self) -> list[Move]:
        """Recipients that go over another connection than they were given to."""
        return _spills(self.warmings)

    def digest(self, address_keys: Keys) -> str:
        """SHA-256 (hex) of who gets the mail, over which connection, in which order, when.

        `address_keys` (n, 2) are the keys that were assigned.
        """
        digest = self.assignment.digest(address_keys)
        for one in self.warmings:
            change = (digest, one.connection, one.days, one.spilled, one.warm_up.spill_to)
            if one.spilled or len(one.days) > 1:
                digest = hashlib.sha256(repr(change).encode()).hexdigest()
        return digest

    def moves(self) -> tuple[Routes, Moments]:
        """By send position (n,): the connection's index, and from when on its warm-up has room.

        In seconds since the epoch; NaN: at once.
        """
        routes = self.assignment.route.copy()
        due = np.full(len(routes), np.nan)
        for one in self.warmings:
            index = self.connections.index(one.connection)
            positions = np.flatnonzero(self.assignment.route == index)
            placed = one.days[0][1]
            for day, number in one.days[1:]:
                due[positions[placed : placed + number]] = one.warm_up.begins(day)
                placed += number
            if one.warm_up.spill_to and one.spilled:
                routes[positions[placed:]] = self.connections.index(one.warm_up.spill_to)
        return routes, due


def place(
    campaign: Campaign, assignment: Assignment, day: date, warm_ups: Mapping[str, WarmUpState]
) -> Placement:
    """Apply the warm-ups to an assignment that was made by the shares of `day`.

    `warm_ups` are those of the routes' connections, and of those that they spill to. Raises
    CampaignError where one spills to a connection that warms up itself.
    """
    names = [route.connection for route in campaign.routes]
    cold = {name: one for name, one in warm_ups.items() if one.cap_on(one.today) is not None}
    warmings = [
        warming(name, count, cold[name])
        for name, count in zip(names, assignment.quotas, strict=True)
        if name in cold
    ]
    for one in warmings:
        if one.warm_up.spill_to in cold:
            raise CampaignError(
                f"connection {one.connection!r} spills to {one.warm_up.spill_to!r}, which warms up"
                " itself: name an established connection in its warm-up"
            )
    spilled_to = [one.warm_up.spill_to for one in warmings if one.warm_up.spill_to and one.spilled]
    percents = campaign.percents(day)
    shares = campaign.shares(day)
    return Placement(
        assignment,
        tuple(dict.fromkeys([*names, *spilled_to])),
        tuple(percents) if percents else None,
        shares_after(shares, _spills(warmings)),
        tuple(warmings),
    )


def _spills(warmings: Iterable[Warming]) -> list[Move]:
    return [
        Move(one.connection, one.warm_up.spill_to, MoveReason.WARM_UP, one.spilled, one.recipients)
        for one in warmings
        if one.warm_up.spill_to and one.spilled
    ]
