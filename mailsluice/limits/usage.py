"""When the next messages may go: trailing windows that hold at the server. Pure.

All who send under the same limits, in whatever process, share one `Usage`. A message reaches the
server somewhere between its start and its reply. So a start may be given out for the moment `s`
while at most `count - 1` others are open (given out, their reply not known) or were replied to
after `s - window`: then no trailing window of that length can hold more than `count` arrivals,
whatever the network did in between. (Of the arrivals in such a window take the one whose start was
given out last, for `s`. It arrived at `s` or later, so all the others arrived, and were replied to,
after `s - window`; and they were given out before it. So each of them was counted.)

Replies come with their times, so it is known ahead when they leave the window: starts are given out
for moments to come, and giving them out early costs nothing of the limit.

Within that bound starts are spaced evenly. The database's clock is an argument, in seconds; what is
remembered is in steady time (see `mailsluice.limits.timekeeping`), so setting that clock moves
nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mailsluice.limits.limits import Limit, Rules
from mailsluice.limits.timekeeping import Timeline

HOLDER_SECONDS = 30.0
"""A holder that is not heard of for so long has lost the starts it was given."""

_STRETCH = 1.005  # spacing a little above window / count pays for the jitter of the network
_CELLS = 250  # replies are counted in steps of window / _CELLS, so what is stored is bounded
_CLOCK_DRIFT = 5e-4  # the server's clock may go this much slower than ours
_RESOLUTION_SECONDS = 1e-6  # of floats that hold seconds since the epoch
_CATCH_UP_SECONDS = 0.25  # who asks late gets what he missed at once, up to this far back
_KEPT_CAPS = 8  # days whose counts are kept: the clock may be set back to them


@dataclass(slots=True)
class Usage:
    """The starts under one key, as far as they still matter. In steady time, but for caps."""

    next_at: float = -math.inf
    """The even spacing's next start."""
    open: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By holder: starts it has been given whose reply is not known, and until when it may use
    them."""
    replied: dict[float, dict[int, int]] = field(default_factory=dict)
    """By window length: {cell: replies}; a cell is a step of the time since the epoch."""
    capped: dict[float, int] = field(default_factory=dict)
    """By a cap's start: replies since."""
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def open_starts(self) -> int:
        """Of all holders."""
        return sum(number for number, _ in self.open.values())

    @property
    def set_by(self) -> float:
        """Seconds to add to steady time for the time of the database."""
        return self.timeline.set_by

    def report(
        self, holder: str, open_: int, until: float, replies: Iterable[float], rules: Rules
    ) -> None:
        """Take down where a holder stands: so many open, and replies that came at these times.

        What it had open before, less both, it gives back: the spacing goes back by as much.
        """
        times = list(replies)
        before, _ = self.open.pop(holder, (0, 0.0))
        self.next_at -= max(0, before - open_ - len(times)) * _gap(rules)
        if open_:
            self.open[holder] = (open_, until - self.set_by)
        self._count([one - self.set_by for one in times], rules)

    def expire(self, now: float, rules: Rules) -> None:
        """A holder that has not been heard of in time may have used what it had, up to its end."""
        now -= self.set_by
        for holder, (open_, until) in list(self.open.items()):
            self.open[holder] = (open_, min(until, now + HOLDER_SECONDS))
            if until < now:
                del self.open[holder]
                self._count([until] * open_, rules)
        for window, cells in list(self.replied.items()):
            step, span = window / _CELLS, _span(window)
            kept = {cell: n for cell, n in cells.items() if (cell + 1) * step + span > now}
            self.replied[window] = kept
            if not kept:
                del self.replied[window]
        for start in sorted(self.capped)[:-_KEPT_CAPS]:
            del self.capped[start]

    def _count(self, times: Sequence[float], rules: Rules) -> None:
        if not times:
            return
        moments = np.asarray(times, np.float64)
        for window in {*self.replied, *(limit.window_seconds for limit in rules.limits)}:
            table = self.replied.setdefault(window, {})
            cells = (moments // (window / _CELLS)).astype(np.int64)
            for cell, number in Counter(cells.tolist()).items():
                table[cell] = table.get(cell, 0) + number
        moments += self.set_by
        for cap in rules.caps:
            if within := int(np.count_nonzero((moments >= cap.start) & (moments < cap.end))):
                self.capped[cap.start] = self.capped.get(cap.start, 0) + within

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        return {
            "next_at": None if self.next_at == -math.inf else self.next_at,
            "open": {holder: list(one) for holder, one in self.open.items()},
            "replied": [[window, list(cells.items())] for window, cells in self.replied.items()],
            "capped": list(self.capped.items()),
            "timeline": self.timeline.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild the value from the result of `to_json`."""
        replied = {window: dict(cells) for window, cells in value["replied"]}
        return cls(
            -math.inf if value["next_at"] is None else value["next_at"],
            {holder: (one[0], one[1]) for holder, one in value["open"].items()},
            replied,
            dict(value["capped"]),
            Timeline.from_json(value["timeline"])
            if "timeline" in value
            else Timeline(confirmed_at=_latest(replied)),  # stored before there were any
        )


def _latest(replied: Mapping[float, Mapping[int, int]]) -> float:
    """The moment of the last reply that is known for sure."""
    return max(
        (cell * (window / _CELLS) for window, cells in replied.items() for cell in cells),
        default=-math.inf,
    )


def give_out(
    shared: Sequence[tuple[Usage, Rules]], now: float, horizon: float, most: int
) -> tuple[list[float], float]:
    """Give out starts that all these rules allow, from `now` up to `horizon`, at most so many.

    Returns their moments, in order, and when one more is possible (infinity: not before a reply).
    The usages count them as spaced; the caller reports them as open.
    """
    for usage, rules in shared:
        usage.next_at = _caught_up(usage, rules, now, horizon) - usage.set_by
        if gap := _gap(rules):  # more would be beyond the horizon
            most = min(most, max(0, int((horizon - spaced_at(usage)) / gap) + 1))
    at = np.full(most + 1, now)
    for usage, rules in shared:
        np.maximum(at, spaced_at(usage) + np.arange(len(at)) * _gap(rules), out=at)
        for limit in rules.limits:
            np.maximum(at, room_at(usage, limit, len(at)), out=at)
    _wait_for_caps(at, shared)
    number = min(most, int(np.searchsorted(at, horizon, side="right")))
    for usage, rules in shared:
        usage.next_at += number * _gap(rules)
    return at[:number].tolist(), float(at[number])


def spaced_at(usage: Usage) -> float:
    """The even spacing's next start, by the database's clock."""
    return usage.next_at + usage.set_by


def _caught_up(usage: Usage, rules: Rules, now: float, horizon: float) -> float:
    """The even spacing's next start, for somebody who may be late.

    One gap late at least: who had to wait for another limit's spacing is not. Never further ahead
    than one gap after the last start that can have been given out.
    """
    if usage.next_at == -math.inf:
        return now
    shortest = min((one.window_seconds for one in rules.limits), default=math.inf)
    gap = _gap(rules)
    late = max(gap, min(_CATCH_UP_SECONDS, 0.02 * shortest))
    return min(max(spaced_at(usage), now - late), horizon + gap)


def room_at(usage: Usage, limit: Limit, number: int) -> npt.NDArray[np.float64]:
    """By how many are given out before it (number,): when the window has room for one more.

    Minus infinity: it has; infinity: not before a reply.
    """
    cells = sorted(usage.replied.get(limit.window_seconds, {}).items())
    cell, replies = np.array(cells, np.int64).reshape(-1, 2).T
    left_at = (cell + 1) * (limit.window_seconds / _CELLS) + _span(limit.window_seconds)
    left_at += usage.set_by
    left = np.cumsum(replies)
    before = usage.open_starts + int(replies.sum())
    have_to_leave = before + np.arange(number) - (limit.count - 1)
    at = np.append(left_at, math.inf)[np.searchsorted(left, have_to_leave)]
    return np.where(have_to_leave > 0, at, -math.inf)


def _wait_for_caps(at: npt.NDArray[np.float64], shared: Sequence[tuple[Usage, Rules]]) -> None:
    """Put off what a cap has no room for until it ends, in place."""
    caps = [
        (cap, cap.count - usage.capped.get(cap.start, 0) - usage.open_starts)
        for usage, rules in shared
        for cap in rules.caps
    ]
    for cap, room in sorted(caps, key=lambda one: one[0].start):
        beyond = at[max(room, 0) :]
        beyond[(beyond >= cap.start) & (beyond < cap.end)] = cap.end


def _gap(rules: Rules) -> float:
    """The even spacing, in seconds."""
    return _STRETCH / rules.per_second


def _span(window_seconds: float) -> float:
    return window_seconds * (1 + _CLOCK_DRIFT) + _RESOLUTION_SECONDS
