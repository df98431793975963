"""Estimate when a connection finishes a campaign, and what delays it most. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.zone_estimate import ZoneFlows, flows_of, hours_in, split
from mailsluice.limits import Bound

HORIZON = timedelta(days=3 * 365)
"""Later ends are not computed."""
ASSUMED_PER_SESSION = 10
"""Messages per second and session that are assumed where there is no limit."""


@dataclass(frozen=True, slots=True)
class Load:
    """The recipients of one connection, and the limits on the pace of sending to them."""

    starts_at: datetime
    releases: Sequence[tuple[datetime, int]]
    """When recipients become due, and how many, in order of time."""
    bounds: Sequence[Bound]
    """The limits; at least one, unless `ends_at` is given a pace."""
    window: SendingWindow
    zones: Mapping[str, int] = field(default_factory=dict)
    """The recipients of each time zone, where the window applies in them."""

    @property
    def slowest(self) -> Bound:
        """The lowest limit; of equal ones, the first."""
        return min(self.bounds, key=lambda bound: bound.per_second)

    def ends_at(self, per_second: float | None = None) -> datetime | None:
        """Return when the last message goes out, evenly paced; None: beyond the horizon.

        `per_second` is the pace; by default, the pace of the lowest limit.
        """
        return _end(self, self.slowest.per_second if per_second is None else per_second)

    def binding(self) -> str:
        """Name the limit, the warm-up or the window, whichever delays the end most."""
        now = self.starts_at
        at_once = [(now, sum(count for _, count in self.releases))]
        without = {
            str(self.slowest): _end(self, math.inf),
            "warm-up": replace(self, releases=at_once).ends_at(),
            "sending window": replace(self, window=SendingWindow(), zones={}).ends_at(),
        }
        return min(without, key=lambda name: without[name] or now + HORIZON)

    def flows(self, per_second: float) -> ZoneFlows:
        """The messages to the recipients of each time zone, in the order of `zones`."""
        hours = hours_in(self.window, tuple(self.zones))
        recipients = dict(enumerate(self.zones.values()))
        releases = [(at.timestamp(), count) for at, count in self.releases]
        parts = split(releases, recipients)
        return flows_of(hours, parts, self.starts_at.timestamp(), per_second)


def _end(load: Load, per_second: float) -> datetime | None:
    if load.zones:
        return _end_in_zones(load, per_second)
    return _end_in_window(load, per_second)


def _end_in_zones(load: Load, per_second: float) -> datetime | None:
    ends_at = max(load.flows(per_second).ends_at, load.starts_at.timestamp())
    is_known = ends_at <= (load.starts_at + HORIZON).timestamp()
    return datetime.fromtimestamp(ends_at, UTC) if is_known else None


def _end_in_window(load: Load, per_second: float) -> datetime | None:
    """Walk from release to release, through the hours in which the window is open."""
    at, last = load.starts_at, load.starts_at + HORIZON
    for due, count in load.releases:
        if not count:
            continue
        at = load.window.opens_at(max(at, due))
        left_seconds = count / per_second
        while (open_seconds := _open_seconds(load.window, at)) < left_seconds:
            left_seconds -= open_seconds
            at = load.window.opens_at(at + timedelta(seconds=open_seconds))
            if at > last:
                return None
        if left_seconds > HORIZON.total_seconds():
            return None
        at += timedelta(seconds=left_seconds)
    return at


def _open_seconds(window: SendingWindow, at: datetime) -> float:
    closes = window.closes_at(at)
    return (closes - at).total_seconds() if closes else math.inf
