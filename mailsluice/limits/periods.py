"""The periods that have a number of messages: days of a warm-up, calendar limits. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from mailsluice.limits.calendar_limit import CalendarLimit
from mailsluice.limits.limits import Cap, Rules
from mailsluice.limits.usage import Usage


class Period(NamedTuple):
    """A period with a rule, and the messages that count in it. In the database's time."""

    start: float
    end: float
    rule: Cap | CalendarLimit
    answered: int
    open: int
    """Starts whose reply is not known, and which may come in this period."""

    @property
    def room(self) -> int:
        """How many more messages may start."""
        return max(0, self.rule.count - self.answered - self.open)

    @property
    def full_until(self) -> float:
        """When there is room again, if there is none; infinity: not before a start is returned."""
        return self.end if self.answered >= self.rule.count else math.inf


def periods(usage: Usage, rules: Rules, now: float) -> Iterator[Period]:
    """Yield the periods of these rules, from the present ones on, in no order."""
    opened = usage.open_starts
    for cap in rules.caps:
        yield Period(cap.start, cap.end, cap, usage.capped.get(cap.start, 0), opened)
    for limit in rules.calendar:
        at = now
        for _ in range(2):  # starts are given out ahead, perhaps in the next period
            start, end = limit.period(at)
            yield Period(start, end, limit, usage.dated.within(start, end), opened)
            at = end
