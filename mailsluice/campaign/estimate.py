"""Estimate when a connection finishes a campaign, and what delays it most. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.window_estimate import end_in_window
from mailsluice.campaign.zone_estimate import ZoneFlows, flows_of, hours_in, split
from mailsluice.limits import Bound, QuotaUse

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
    quotas: Sequence[QuotaUse] = ()
    """The quotas by the calendar, as they are used at the start."""

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
            **{
                f"quota of {quota.limit}": replace(
                    self, quotas=[other for other in self.quotas if other is not quota]
                ).ends_at()
                for quota in self.quotas
            },
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
    if not load.zones:
        return _walked(load, per_second, load.window)
    end = _end_in_zones(load, per_second)
    if end and load.quotas:  # at least as late as within the quotas alone
        within = _walked(load, per_second, SendingWindow())
        return within and max(end, within)
    return end


def _walked(load: Load, per_second: float, window: SendingWindow) -> datetime | None:
    start, releases, quotas = load.starts_at, load.releases, load.quotas
    return end_in_window(start, releases, per_second, window, quotas, HORIZON)


def _end_in_zones(load: Load, per_second: float) -> datetime | None:
    ends_at = max(load.flows(per_second).ends_at, load.starts_at.timestamp())
    is_known = ends_at <= (load.starts_at + HORIZON).timestamp()
    return datetime.fromtimestamp(ends_at, UTC) if is_known else None
