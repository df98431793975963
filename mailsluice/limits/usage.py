"""Decide when the next messages may start, so that trailing windows hold at the server. Pure.

All processes that send under the same limits share one `Usage`. A message reaches the server at
some moment between its start and its reply. So a start may be given out for the moment `s` while
at most `count - 1` other messages are open (their start given out, their reply not known) or were
answered after `s - window`. Then no trailing window of that length holds more than `count`
arrivals, however long the network takes.

Proof: of the arrivals in a window, take the message whose start was given out last, for `s`. The
message arrived at `s` or later, so all others in the window arrived, and were answered, after
`s - window`; and their starts were given out before. So each of them was counted.

The moments of replies are known, so it is also known when each of them leaves the window. Starts
are therefore given out for future moments, and giving them out early costs nothing of the limit.

Within that bound, starts are spaced evenly. The database's clock is an argument, in seconds. What
a `Usage` remembers is in steady time (see `mailsluice.limits.timekeeping`), so setting the
database's clock has no effect on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from mailsluice.limits.limits import Limit, Rules
from mailsluice.limits.timekeeping import Timeline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HOLDER_SECONDS = 30.0
"""A holder that reports nothing for so long loses the starts that it was given."""

_STRETCH = 1.005  # spacing slightly above window / count allows for the jitter of the network
_CELLS = 250  # replies are counted in steps of window / _CELLS, so the stored counts are bounded
_CLOCK_DRIFT = 5e-4  # the server's clock may run slower than ours by this fraction
_RESOLUTION_SECONDS = 1e-6  # of floats that hold seconds since the epoch
_CATCH_UP_SECONDS = 0.25  # a late request may make up for the starts of so many seconds at once
_KEPT_CAPS = 8  # days whose counts are kept, since the clock may be set back to them


@dataclass(slots=True)
class Usage:
    """The starts under one key that still count. In steady time, except for caps.

    A holder is a process that is given starts.
    """

    next_at: float = -math.inf
    """The next start of the even spacing."""
    open: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By holder: the number of its starts whose reply is not known, and the moment until which the
    holder may use them."""
    replied: dict[float, dict[int, int]] = field(default_factory=dict)
    """By window length: {cell: replies}; a cell is a step of the time since the epoch."""
    capped: dict[float, int] = field(default_factory=dict)
    """By the start of a cap: the replies in its period."""
    timeline: Timeline = field(default_factory=Timeline)

    @property
    def open_starts(self) -> int:
        """The open starts of all holders."""
        return sum(count for count, _ in self.open.values())

    @property
    def set_by(self) -> float:
        """Seconds to add to steady time to get the time of the database."""
        return self.timeline.set_by

    def report(
        self, holder: str, open_: int, until: float, replies: Iterable[float], rules: Rules
    ) -> None:
        """Record a holder's open starts and recent replies.

        Return starts that are neither open nor answered: the spacing goes back by as many.

        Args:
            holder: The name of the process.
            open_: The number of its starts that are open now.
            until: The moment until which the holder may use them.
            replies: The moments of the replies since its last report.
            rules: The rules of this key.
        """
        times = list(replies)
        before, _ = self.open.pop(holder, (0, 0.0))
        self.next_at -= max(0, before - open_ - len(times)) * _gap(rules)
        if open_:
            self.open[holder] = (open_, until - self.set_by)
        self._count([moment - self.set_by for moment in times], rules)

    def expire(self, now: float, rules: Rules) -> None:
        """Drop what no longer counts: holders that are overdue, and replies outside of any window.

        An overdue holder may have used its open starts until the last moment, so they are counted
        as replies at that moment.
        """
        now -= self.set_by
        for holder, (open_, until) in list(self.open.items()):
            self.open[holder] = (open_, min(until, now + HOLDER_SECONDS))
            if until < now:
                del self.open[holder]
                self._count([until] * open_, rules)
        for window, cells in list(self.replied.items()):
            step, span = window / _CELLS, _span(window)
            kept = {cell: count for cell, count in cells.items() if (cell + 1) * step + span > now}
            self.replied[window] = kept
            if not kept:
                del self.replied[window]
        for start in sorted(self.capped)[:-_KEPT_CAPS]:
            del self.capped[start]

    def _count(self, times: Sequence[float], rules: Rules) -> None:
        if not times:
            return
        import numpy as np  # who sends without limits does not load it

        moments = np.asarray(times, np.float64)
        for window in {*self.replied, *(limit.window_seconds for limit in rules.limits)}:
            table = self.replied.setdefault(window, {})
            cells = (moments // (window / _CELLS)).astype(np.int64)
            for cell, count in Counter(cells.tolist()).items():
                table[cell] = table.get(cell, 0) + count
        moments += self.set_by
        for cap in rules.caps:
            if within := int(np.count_nonzero((moments >= cap.start) & (moments < cap.end))):
                self.capped[cap.start] = self.capped.get(cap.start, 0) + within

    def to_json(self) -> dict[str, Any]:
        """Return the usage as values that JSON can hold."""
        return {
            "next_at": None if self.next_at == -math.inf else self.next_at,
            "open": {holder: list(starts) for holder, starts in self.open.items()},
            "replied": [[window, list(cells.items())] for window, cells in self.replied.items()],
            "capped": list(self.capped.items()),
            "timeline": self.timeline.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a usage from the result of `to_json`."""
        replied = {window: dict(cells) for window, cells in value["replied"]}
        return cls(
            -math.inf if value["next_at"] is None else value["next_at"],
            {holder: (starts[0], starts[1]) for holder, starts in value["open"].items()},
            replied,
            dict(value["capped"]),
            Timeline.from_json(value["timeline"])
            if "timeline" in value
            else Timeline(confirmed_at=_latest(replied)),  # stored before timelines existed
        )


def _latest(replied: Mapping[float, Mapping[int, int]]) -> float:
    """Return the latest moment that the last reply certainly did not precede."""
    return max(
        (cell * (window / _CELLS) for window, cells in replied.items() for cell in cells),
        default=-math.inf,
    )


def give_out(
    shared: Sequence[tuple[Usage, Rules]], now: float, horizon: float, most: int
) -> tuple[list[float], float]:
    """Give out at most `most` starts that all these rules allow, from `now` up to `horizon`.

    The even spacing of each usage advances; the caller has to report the starts as open.

    Returns:
        The moments of the starts, in order, and the moment at which the next one is possible
        (infinity: not before a reply).
    """
    import numpy as np

    for usage, rules in shared:
        usage.next_at = _caught_up(usage, rules, now, horizon) - usage.set_by
        if gap := _gap(rules):  # further starts would be beyond the horizon
            most = min(most, max(0, int((horizon - spaced_at(usage)) / gap) + 1))
    at = np.full(most + 1, now)
    for usage, rules in shared:
        np.maximum(at, spaced_at(usage) + np.arange(len(at)) * _gap(rules), out=at)
        for limit in rules.limits:
            np.maximum(at, room_at(usage, limit, len(at)), out=at)
    _wait_for_caps(at, shared)
    count = min(most, int(np.searchsorted(at, horizon, side="right")))
    for usage, rules in shared:
        usage.next_at += count * _gap(rules)
    return at[:count].tolist(), float(at[count])


def spaced_at(usage: Usage) -> float:
    """Return the next start of the even spacing, by the database's clock."""
    return usage.next_at + usage.set_by


def _caught_up(usage: Usage, rules: Rules, now: float, horizon: float) -> float:
    """Return the next start of the even spacing, for a request that may be late.

    Starts that were missed are made up for, up to a bound: at least one gap, since a request that
    waited for the spacing of another limit is not late. The result is never later than one gap
    after the last start that can have been given out.
    """
    if usage.next_at == -math.inf:
        return now
    shortest = min((limit.window_seconds for limit in rules.limits), default=math.inf)
    gap = _gap(rules)
    late = max(gap, min(_CATCH_UP_SECONDS, 0.02 * shortest))
    return min(max(spaced_at(usage), now - late), horizon + gap)


def room_at(usage: Usage, limit: Limit, size: int) -> npt.NDArray[np.float64]:
    """Return when the window has room for the i-th of the next starts, for i in range(`size`).

    Minus infinity: there is room already; infinity: not before a reply.
    """
    import numpy as np

    cells = sorted(usage.replied.get(limit.window_seconds, {}).items())
    cell, replies = np.array(cells, np.int64).reshape(-1, 2).T
    left_at = (cell + 1) * (limit.window_seconds / _CELLS) + _span(limit.window_seconds)
    left_at += usage.set_by
    left = np.cumsum(replies)
    before = usage.open_starts + int(replies.sum())
    have_to_leave = before + np.arange(size) - (limit.count - 1)
    at = np.append(left_at, math.inf)[np.searchsorted(left, have_to_leave)]
    return np.where(have_to_leave > 0, at, -math.inf)


def _wait_for_caps(at: npt.NDArray[np.float64], shared: Sequence[tuple[Usage, Rules]]) -> None:
    """Delay the starts for which a cap has no room until the cap ends, in place."""
    caps = [
        (cap, cap.count - usage.capped.get(cap.start, 0) - usage.open_starts)
        for usage, rules in shared
        for cap in rules.caps
    ]
    for cap, room in sorted(caps, key=lambda pair: pair[0].start):
        beyond = at[max(room, 0) :]
        beyond[(beyond >= cap.start) & (beyond < cap.end)] = cap.end


def _gap(rules: Rules) -> float:
    """Return the seconds between two starts of the even spacing."""
    return _STRETCH / rules.per_second


def _span(window_seconds: float) -> float:
    """Return how long a reply counts, with a margin for the clocks."""
    return window_seconds * (1 + _CLOCK_DRIFT) + _RESOLUTION_SECONDS
