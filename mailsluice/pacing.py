"""When the next message may go: trailing windows that hold at the server.

A message reaches the server somewhere between the moment it is started and the moment its reply is
read. So a message may be started at `t` while at most `count - 1` others are in flight or were
replied to after `t - window`: then no trailing window of that length can hold more than `count`
arrivals, whatever the network did in between. (Of the arrivals in such a window, take the one that
was started last: when it was started, all the others were in flight or replied to after its start
less the window, for they arrived less than a window before it.)

Within that bound messages are spaced evenly. Pure: the clock is an argument, in seconds, and never
goes back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from mailsluice.apportionment import quotas

_WINDOWS = {"per_second": 1.0, "per_minute": 60.0, "per_hour": 3600.0, "per_day": 86400.0}
_STRETCH = 1.005  # spacing a little above window / count pays for the jitter of the network
_BUCKETS = 2000  # replies are counted in window / _BUCKETS steps, so memory is bounded
_RESOLUTION_SECONDS = 1e-6  # of the server's clock, and of floats
_CATCH_UP_SECONDS = 0.25  # a late wake-up is made good at once up to this far back


class Rates(Protocol):
    """What has limits: a connection, a campaign's throttle."""

    @property
    def per_second(self) -> int | None: ...
    @property
    def per_minute(self) -> int | None: ...
    @property
    def per_hour(self) -> int | None: ...
    @property
    def per_day(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages in any trailing window of this length."""

    count: int
    window_seconds: float


def limits(rates: Rates) -> tuple[Limit, ...]:
    """The limits that are set."""
    found = ((getattr(rates, name), window) for name, window in _WINDOWS.items())
    return tuple(Limit(count, window) for count, window in found if count is not None)


def shared(rates: Rates, shares: Mapping[str, Decimal]) -> dict[str, tuple[Limit, ...]]:
    """A campaign's limits shared out by share, by largest remainder: 6,000 an hour at 70/30 is
    4,200 and 1,800.

    Where a share comes to less than one message a window, it is one message in a longer window.
    """
    out: dict[str, list[Limit]] = {name: [] for name in shares}
    used = {name: share for name, share in shares.items() if share > 0}
    for limit in limits(rates):
        counts = quotas(limit.count, list(used.values()))
        for (name, share), count in zip(used.items(), counts, strict=True):
            if limit.count * share < 1:
                window = limit.window_seconds / float(limit.count * share)
                out[name].append(Limit(1, window))
            else:
                out[name].append(Limit(count, limit.window_seconds))
    return {name: tuple(found) for name, found in out.items()}


class _Window:
    """Replies in the trailing window of one limit, in buckets: (latest time, how many)."""

    __slots__ = ("buckets", "limit", "replied", "span", "step")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.span = limit.window_seconds + _RESOLUTION_SECONDS
        self.step = limit.window_seconds / _BUCKETS
        self.buckets: deque[list[float]] = deque()
        self.replied = 0

    def add(self, now: float) -> None:
        self.replied += 1
        if self.buckets and now - self.buckets[-1][2] < self.step:
            self.buckets[-1][0] = now
            self.buckets[-1][1] += 1
        else:
            self.buckets.append([now, 1, now])

    def ready_at(self, now: float, in_flight: int) -> float:
        horizon = now - self.span
        while self.buckets and self.buckets[0][0] <= horizon:
            self.replied -= int(self.buckets.popleft()[1])
        surplus = in_flight + self.replied - (self.limit.count - 1)
        if surplus <= 0:
            return now
        for latest, count, _ in self.buckets:
            surplus -= int(count)
            if surplus <= 0:
                return latest + self.span
        return math.inf  # only a reply can make room


class Pacer:
    """Paces the messages that fall under the same limits."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._windows = [_Window(limit) for limit in limits]
        self._gap = max((one.window_seconds / one.count for one in limits), default=0.0) * _STRETCH
        shortest = min((one.window_seconds for one in limits), default=0.0)
        self._catch_up = min(_CATCH_UP_SECONDS, 0.02 * shortest)
        self._next = -math.inf
        self._in_flight = 0

    @property
    def per_second(self) -> float:
        """The pace it keeps; infinity where there are no limits."""
        return 1 / self._gap if self._gap else math.inf

    def ready_at(self, now: float) -> float:
        """The earliest moment, `now` or later, at which the next message may be started.

        Infinity: not before a reply has come.
        """
        ready = max(now, self._next)
        for window in self._windows:
            ready = max(ready, window.ready_at(now, self._in_flight))
        return ready

    def started(self, now: float) -> None:
        """A message has been started."""
        self._in_flight += 1
        self._next = max(self._next + self._gap, now + self._gap - self._catch_up)

    def finished(self, now: float) -> None:
        """A reply has come, or the message cannot arrive any more."""
        self._in_flight -= 1
        for window in self._windows:
            window.add(now)
