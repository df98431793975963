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

Within that bound starts are spaced evenly. The clock is an argument, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from mailsluice.pacing.limits import Limit, Rules

_STRETCH = 1.005  # spacing a little above window / count pays for the jitter of the network
_CELLS = 250  # replies are counted in steps of window / _CELLS, so what is stored is bounded
_CLOCK_DRIFT = 5e-4  # the server's clock may go this much slower than ours
_RESOLUTION_SECONDS = 1e-6  # of floats that hold seconds since the epoch
_CATCH_UP_SECONDS = 0.25  # who asks late gets what he missed at once, up to this far back


@dataclass(slots=True)
class Usage:
    """What was started under one key, as far as it still matters."""

    next_at: float = -math.inf
    """The even spacing's next start."""
    open: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By holder: starts it has been given whose reply is not known, and until when it may use
    them."""
    replied: dict[float, dict[int, int]] = field(default_factory=dict)
    """By window length: {cell: replies}; a cell is a step of the time since the epoch."""
    capped: dict[float, int] = field(default_factory=dict)
    """By a cap's start: replies since."""

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
            self.open[holder] = (open_, until)
        self._count(times, rules)

    def expire(self, now: float, rules: Rules) -> None:
        """Who has not been heard of in time may have used what he had, up to the end of it."""
        for holder, (open_, until) in list(self.open.items()):
            if until < now:
                del self.open[holder]
                self._count([until] * open_, rules)
        for window, cells in list(self.replied.items()):
            step, span = window / _CELLS, _span(window)
            kept = {cell: n for cell, n in cells.items() if (cell + 1) * step + span > now}
            self.replied[window] = kept
            if not kept:
                del self.replied[window]
        ends = {cap.start for cap in rules.caps if cap.end > now}
        self.capped = {start: n for start, n in self.capped.items() if start in ends}

    def _count(self, times: Iterable[float], rules: Rules) -> None:
        windows = {*self.replied, *(limit.window_seconds for limit in rules.limits)}
        tables = [(window / _CELLS, self.replied.setdefault(window, {})) for window in windows]
        for time in times:
            for step, cells in tables:
                cell = int(time // step)
                cells[cell] = cells.get(cell, 0) + 1
            for cap in rules.caps:
                if cap.start <= time < cap.end:
                    self.capped[cap.start] = self.capped.get(cap.start, 0) + 1

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        return {
            "next_at": None if self.next_at == -math.inf else self.next_at,
            "open": {holder: list(one) for holder, one in self.open.items()},
            "replied": [[window, list(cells.items())] for window, cells in self.replied.items()],
            "capped": list(self.capped.items()),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            -math.inf if value["next_at"] is None else value["next_at"],
            {holder: (one[0], one[1]) for holder, one in value["open"].items()},
            {window: dict(cells) for window, cells in value["replied"]},
            dict(value["capped"]),
        )


def give_out(
    shared: Sequence[tuple[Usage, Rules]], now: float, horizon: float, most: int
) -> tuple[list[float], float]:
    """Give out starts that all these rules allow, from `now` up to `horizon`, at most so many.

    Returns their moments, in order, and when one more is possible (infinity: not before a reply).
    The usages count them as spaced; the caller reports them as open.
    """
    queues = [_Queue(usage, rules, now) for usage, rules in shared]
    starts: list[float] = []
    while True:
        at = _settled(queues, now)
        if at > horizon or len(starts) == most:
            return starts, at
        for queue in queues:
            queue.take()
        starts.append(at)


def _settled(queues: Sequence[_Queue], at: float) -> float:
    """The first moment at which all of them allow one more start."""
    while True:
        later = max((queue.ready_at(at) for queue in queues), default=at)
        if later == at:
            return at
        at = later


class _Queue:
    """One usage while starts are given out."""

    __slots__ = ("_caps", "_gap", "_open", "_usage", "_windows")

    def __init__(self, usage: Usage, rules: Rules, now: float) -> None:
        self._usage = usage
        self._open = sum(open_ for open_, _ in usage.open.values())
        self._windows = [
            _Window(one, usage.replied.get(one.window_seconds, {})) for one in rules.limits
        ]
        self._caps = [(cap, usage.capped.get(cap.start, 0)) for cap in rules.caps]
        self._gap = _gap(rules)
        shortest = min((one.window_seconds for one in rules.limits), default=math.inf)
        # One gap at least: who had to wait for another limit's spacing is not late.
        late = max(self._gap, min(_CATCH_UP_SECONDS, 0.02 * shortest))
        usage.next_at = now if usage.next_at == -math.inf else max(usage.next_at, now - late)

    def ready_at(self, at: float) -> float:
        """The earliest moment, `at` or later, for one more start."""
        at = max(at, self._usage.next_at)
        for window in self._windows:
            at = max(at, window.ready_at(self._open))
        for cap, used in self._caps:
            if cap.start <= at < cap.end and used + self._open >= cap.count:
                at = cap.end
        return at

    def take(self) -> None:
        self._open += 1
        self._usage.next_at += self._gap


class _Window:
    """The replies in the trailing window of one limit; they only ever leave it."""

    __slots__ = ("_cells", "_left_at", "_limit", "_replied", "_span", "_step")

    def __init__(self, limit: Limit, cells: Mapping[int, int]) -> None:
        self._limit = limit.count
        self._span = _span(limit.window_seconds)
        self._step = limit.window_seconds / _CELLS
        self._cells = sorted(cells.items(), reverse=True)
        self._replied = sum(cells.values())
        self._left_at = -math.inf

    def ready_at(self, open_: int) -> float:
        """When, with so many open, there is room for one more; infinity: not before a reply."""
        while open_ + self._replied >= self._limit:
            if not self._cells:
                return math.inf
            cell, count = self._cells.pop()
            self._replied -= count
            self._left_at = (cell + 1) * self._step + self._span
        return self._left_at


def _gap(rules: Rules) -> float:
    """The even spacing, in seconds."""
    return _STRETCH / rules.per_second


def _span(window_seconds: float) -> float:
    return window_seconds * (1 + _CLOCK_DRIFT) + _RESOLUTION_SECONDS
