"""Estimate when a connection finishes a campaign, and what delays it most. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.limits import Bound

HORIZON = timedelta(days=3 * 365)
"""Later ends are not computed."""


@dataclass(frozen=True, slots=True)
class Load:
    """The recipients of one connection, and the limits on the pace of sending to them."""

    starts_at: datetime
    releases: Sequence[tuple[datetime, int]]
    """When recipients become due, and how many, in order of time."""
    bounds: Sequence[Bound]
    """The limits; at least one, unless `ends_at` is given a pace."""
    window: SendingWindow

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
            "sending window": replace(self, window=SendingWindow()).ends_at(),
        }
        return min(without, key=lambda name: without[name] or now + HORIZON)


def _end(load: Load, per_second: float) -> datetime | None:
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
