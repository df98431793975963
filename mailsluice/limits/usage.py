"""Decide when the next messages may start, so that trailing windows hold at the server. Pure.

All processes that send under the same limits share one `Usage`. A message reaches the server at
some moment between its start and its reply. So starts may be given out such that for each of them,
for the moment `s`, at most `count - 1` others for `s` or an earlier moment are open (their reply is
not known) or were answered after `s - window`. Then no trailing window of that length holds more
than `count` arrivals, however long the network takes.

Proof: of the arrivals in a window, take the message with the latest moment `s`. The message arrived
at `s` or later, so all others in the window arrived, and were answered, after `s - window`; and
their moments are not later. So each of them was counted: when its own start was given out, or when
that for `s` was, whichever came last.

The moments of replies are known, so it is also known when each of them leaves the window. Starts
are therefore given out for future moments, and giving them out early costs nothing of the limit:
it does not delay a start for an earlier moment.

The proof assumes nothing about the network. What it costs is that a message counts for the time
from its start to its reply as well, so that at most window / (window + that time) of a limit can be
used. No sender that sees only its own clock can promise more: of a message, only this is known. If
the fastest round trip so far were taken off, the limit would be exceeded whenever the way became
shorter, for example when a route to the server comes back. So nothing is taken off.

Within that bound, starts are spaced evenly. The database's clock is an argument, in seconds. What
a `Usage` remembers is in steady time (see `mailsluice.limits.timekeeping`), so setting the
database's clock has no effect on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from mailsluice.limits.dated_replies import DatedReplies
from mailsluice.limits.limits import Rules
from mailsluice.limits.recent_replies import RecentReplies
from mailsluice.limits.timekeeping import Timeline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HOLDER_SECONDS = 30.0
"""A holder that reports nothing for so long loses the starts that it was given."""

_STRETCH = 1.005  # spacing slightly above window / count keeps the window from filling up
_JITTER_SECONDS = 0.008  # ... and so does this, for how late a start may be used and answered
PLAN_SECONDS = 0.001
"""The length of a step of `OpenStarts.planned`."""
_PLANNED_STEPS = 1_000  # starts that are given out lie in fewer
_KEPT_CAPS = 8  # days whose counts are kept, since the clock may be set back to them


class OpenStarts(NamedTuple):
    """The starts of one holder whose reply is not known."""

    granted: int
    until: float
    """The moment until which the holder may use them."""
    answered: int | None = None
    """The replies that the holder has had in all; None where it does not count them."""
    first_step: int = 0
    planned: Sequence[int] = ()
    """Of the open starts, those for moments in each step from the first step on; the others are for
    earlier moments."""


class Spread(NamedTuple):
    """Messages that are to be spread evenly. Moments are of the database's clock."""

    messages: int
    """The messages that are left, those with an open start included."""
    since: float
    """The first moment at which one of them may start."""
    until: float
    """The start of the last one, if nothing were closed in between."""


class Estate(NamedTuple):
    """What is known of a dead holder: it uses no start any more."""

    holder: str
    in_flight: int
    """Messages that it had started and whose reply it had not read."""
    answered: int
    """The replies that it had read in all."""


@dataclass(slots=True)
class Usage:
    """The starts under one key that still count. In steady time, except for caps and dates.

    A holder is a process that is given starts.
    """

    next_at: float = -math.inf
    """The next start of the even spacing."""
    open: dict[str, OpenStarts] = field(default_factory=dict)
    """By holder."""
    replied: dict[float, RecentReplies] = field(default_factory=dict)
    """The replies by window length, in seconds; none without replies."""
    capped: dict[float, int] = field(default_factory=dict)
    """By the start of a cap: the replies in its period."""
    dated: DatedReplies = field(default_factory=DatedReplies)
    """The replies by date, since the key had a calendar limit first; in the database's time."""
    estates: list[Estate] = field(default_factory=list)
    """Of holders that have died since the last `settle`."""
    timeline: Timeline = field(default_factory=Timeline)
    spacing: float = 0.0
    """The seconds between two starts where the rules are paced; 0: as close as limits allow."""

    @property
    def open_starts(self) -> int:
        """The open starts of all holders."""
        return sum(starts.granted for starts in self.open.values())

    @property
    def set_by(self) -> float:
        """Seconds to add to steady time to get the time of the database."""
        return self.timeline.set_by

    def report(
        self,
        holder: str,
        open_: int,
        until: float,
        replies: Sequence[float] | npt.NDArray[np.float64],
        rules: Rules,
        answered: int | None = None,
    ) -> None:
        """Record a holder's open starts and recent replies.

        Return starts that are neither open nor answered: the spacing goes back by as many.

        Args:
            holder: The name of the process.
            open_: The number of its starts that are open now.
            until: The moment until which the holder may use them.
            replies: The moments of the replies since its last report.
            rules: The rules of this key.
            answered: The number of its replies in all, these included.
        """
        before = self.open.pop(holder).granted if holder in self.open else 0
        self.next_at -= max(0, before - open_ - len(replies)) * gap(self, rules)
        if open_:
            self.open[holder] = OpenStarts(open_, until - self.set_by, answered)
        self._count(replies, rules)

    def plan(self, holder: str, stock: Sequence[float] | npt.NDArray[np.float64]) -> None:
        """Record for which moments a holder has open starts that it has not used.

        Call it after `report`. A moment may be given too early, but not too late.
        """
        if not len(stock):
            return
        import numpy as np

        steps = ((np.asarray(stock) - self.set_by) // PLAN_SECONDS).astype(np.int64)
        steps = steps[steps > steps.max() - _PLANNED_STEPS]
        first = int(steps.min())
        planned = np.bincount(steps - first).tolist()
        self.open[holder] = self.open[holder]._replace(first_step=first, planned=planned)

    def planned_from(self, first: int) -> npt.NDArray[np.int64]:
        """Return the starts that are planned for each step from the `first` on.

        Starts out of reach, since the clock was set, are left out: they count from now on.
        """
        import numpy as np

        plans = [(starts.first_step - first, starts.planned) for starts in self.open.values()]
        plans = [plan for plan in plans if 0 < plan[0] + len(plan[1]) <= _PLANNED_STEPS]
        together = np.zeros(max((at + len(steps) for at, steps in plans), default=0), np.int64)
        for at, steps in plans:
            together[max(0, at) : at + len(steps)] += np.array(steps[max(0, -at) :], np.int64)
        return together

    def spread(self, wanted: Spread) -> None:
        """Space the next starts evenly from now on, for rules that are paced.

        The next start has the new distance from the last one, unless that moment has passed: then
        it is at `wanted.since`. There is no pace where the time is over.
        """
        messages, since, until = wanted
        if until <= since:
            self.spacing = 0.0
            return
        left = max(1, messages - self.open_starts)
        last = self.next_at + self.set_by - self.spacing
        spacing = (until - last) / left
        if last == -math.inf or last + spacing < since:
            self.spacing = (until - since) / max(1, left - 1)
            self.next_at = since - self.set_by
        else:
            self.next_at += spacing - self.spacing
            self.spacing = spacing

    def settle(self, now: float, rules: Rules) -> None:
        """Settle the open starts of the holders that have died."""
        for estate in self.estates:
            self._inherit(estate, now, rules)
        self.estates = []

    def _inherit(self, estate: Estate, now: float, rules: Rules) -> None:
        """Settle the open starts of a dead holder.

        The replies that it had not reported count from `now`, which is later than they came.
        Messages in flight may still reach the server, so they stay open as long as before. All
        other starts are returned. Without a consistent account nothing changes: then the starts
        stay open until they expire.
        """
        starts = self.open.get(estate.holder)
        if starts is None or starts.answered is None:
            return
        unreported = estate.answered - starts.answered
        if unreported < 0 or unreported + estate.in_flight > starts.granted:
            return
        until = starts.until + self.set_by
        replies = [now] * unreported
        self.report(estate.holder, estate.in_flight, until, replies, rules, estate.answered)

    def expire(self, now: float, rules: Rules) -> None:
        """Drop what no longer counts: holders that are overdue, and replies outside of any window.

        An overdue holder may have used its open starts until the last moment, so they are counted
        as replies at that moment.
        """
        now -= self.set_by
        for holder, starts in list(self.open.items()):
            until = min(starts.until, now + HOLDER_SECONDS)
            self.open[holder] = starts._replace(until=until)
            if until < now:
                del self.open[holder]
                self._count([until + self.set_by] * starts.granted, rules)
        for window, replies in list(self.replied.items()):
            replies.expire(now)
            if not replies:
                del self.replied[window]
        for start in sorted(self.capped)[:-_KEPT_CAPS]:
            del self.capped[start]

    def _count(self, replies: Sequence[float] | npt.NDArray[np.float64], rules: Rules) -> None:
        """Count replies, by the database's clock, in each window and cap, and by date."""
        if not len(replies):
            return
        import numpy as np  # who sends without limits does not load it

        moments = np.asarray(replies, np.float64)
        for window in {*self.replied, *(limit.window_seconds for limit in rules.limits)}:
            if window not in self.replied:
                self.replied[window] = RecentReplies(window)
            self.replied[window].add(moments - self.set_by)
        for cap in rules.caps:
            if within := int(np.count_nonzero((moments >= cap.start) & (moments < cap.end))):
                self.capped[cap.start] = self.capped.get(cap.start, 0) + within
        if rules.calendar or self.dated:
            self.dated.add(moments)

    def to_json(self) -> dict[str, Any]:
        """Return the usage as values that JSON can hold."""
        rare: dict[str, Any] = {"dated": self.dated.to_json()} if self.dated else {}
        if self.spacing:
            rare["spacing"] = self.spacing
        return {
            "next_at": None if self.next_at == -math.inf else self.next_at,
            "open": {holder: list(starts) for holder, starts in self.open.items()},
            "recent": [[window, *replies.to_json()] for window, replies in self.replied.items()],
            "capped": list(self.capped.items()),
            "estates": [list(estate) for estate in self.estates],
            "timeline": self.timeline.to_json(),
            **rare,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a usage from the result of `to_json`."""
        replied = {
            window: RecentReplies(window, first, counts)
            for window, first, counts in value.get("recent", ())
        }
        for window, cells in value.get("replied", ()):  # as earlier versions stored them
            replied[window] = RecentReplies.from_cells(window, cells)
        return cls(
            -math.inf if value["next_at"] is None else value["next_at"],
            {holder: OpenStarts(*starts) for holder, starts in value["open"].items()},
            replied,
            dict(value["capped"]),
            DatedReplies.from_json(value.get("dated", ())),
            [Estate(*estate) for estate in value.get("estates", ())],
            Timeline.from_json(value["timeline"])
            if "timeline" in value
            else Timeline(confirmed_at=_latest(replied)),  # stored before timelines existed
            value.get("spacing", 0.0),
        )


def _latest(replied: Mapping[float, RecentReplies]) -> float:
    """Return the latest moment that the last reply certainly did not precede."""
    return max((replies.latest for replies in replied.values()), default=-math.inf)


def gap(usage: Usage, rules: Rules) -> float:
    """Return the seconds between two starts of the even spacing."""
    return max(
        (
            (limit.window_seconds * _STRETCH + _JITTER_SECONDS) / limit.count
            for limit in rules.limits
        ),
        default=usage.spacing if rules.is_paced else 0.0,
    )
