"""When a connection will be done, and what it waits for most. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.limits import Bound

HORIZON = timedelta(days=3 * 365)
"""What takes longer is not computed any further."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one connection has to send, and what slows it."""

    starts_at: datetime
    releases: Sequence[tuple[datetime, int]]
    """How many recipients become due when, in order."""
    bounds: Sequence[Bound]
    """At least one, where no other pace is given."""
    window: SendingWindow

    @property
    def slowest(self) -> Bound:
        """The lowest of the limits; the first where several are equal."""
        return min(self.bounds, key=lambda one: one.per_second)

    def ends_at(self, per_second: float | None = None) -> datetime | None:
        """When the last message goes out, evenly paced; None: beyond the horizon.

        At the pace of the lowest limit, where no other is given.
        """
        return _end(self, self.slowest.per_second if per_second is None else per_second)

    def binding(self) -> str:
        """The limit, the warm-up or the window: without which of them it would end earliest."""
        now = self.starts_at
        at_once = [(now, sum(number for _, number in self.releases))]
        without = {
            str(self.slowest): _end(self, math.inf),
            "warm-up": replace(self, releases=at_once).ends_at(),
            "sending window": replace(self, window=SendingWindow()).ends_at(),
        }
        return min(without, key=lambda one: without[one] or now + HORIZON)


def _end(load: Load, per_second: float) -> datetime | None:
    """Walk from release to release, through the hours in which the window is open."""
    at, last = load.starts_at, load.starts_at + HORIZON
    for due, number in load.releases:
        if not number:
            continue
        at = load.window.opens_at(max(at, due))
        left = number / per_second
        while (open_seconds := _open_seconds(load.window, at)) < left:
            left -= open_seconds
            at = load.window.opens_at(at + timedelta(seconds=open_seconds))
            if at > last:
                return None
        if left > HORIZON.total_seconds():
            return None
        at += timedelta(seconds=left)
    return at


def _open_seconds(window: SendingWindow, at: datetime) -> float:
    closes = window.closes_at(at)
    return (closes - at).total_seconds() if closes else math.inf
