"""How the current state of a warm-up changes an assignment. Pure.

A warm-up counts days by the database's clock, since the provider counts real days. The result is
stored at the launch, so a campaign that takes a week does not change meanwhile. A recipient above
the day's cap is `deferred` without an attempt: claims take deferred rows when they are due anyway,
so the send loop knows nothing of warm-ups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from mailsluice.campaign.warm_up import OverCap, WarmUp

_LEAST_TROUBLED = 5
"""Fewer messages in trouble say more about their recipients than about the connection."""


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """What came of the messages of one day."""

    attempted: int
    troubled: int
    """Those of them that were deferred or failed."""

    @property
    def percent(self) -> float:
        """The share that was in trouble."""
        return 100 * self.troubled / self.attempted if self.attempted else 0.0

    def is_trouble(self, threshold_percent: float) -> bool:
        """Whether a warm-up with this threshold is to hold itself back."""
        return self.troubled >= _LEAST_TROUBLED and self.percent > threshold_percent


@dataclass(frozen=True, slots=True)
class WarmUpState:
    """Where the warm-up of a connection stands on a day."""

    warm_up: WarmUp
    today: date
    """The day of the launch, where the connection is."""
    taken: Mapping[date, int]
    """Messages that other campaigns have planned for today and later days."""
    outcomes: Mapping[date, DayOutcome]
    """What came of the days before today that had messages."""

    @property
    def held_back_days(self) -> int:
        """How many days the cap is behind its plan."""
        return held_back_days(self.outcomes, self.today, self.warm_up.trouble_percent)

    def cap_on(self, day: date) -> int | None:
        """The most messages on a day, as far as is known today; None: there is no cap."""
        return self.warm_up.cap_on(day, self.held_back_days)


@dataclass(frozen=True, slots=True)
class Warming:
    """What the warm-up of a connection makes of its part of a campaign."""

    connection: str
    warm_up: WarmUp = field(repr=False)
    caps: Mapping[date, int | None]
    """Of today and of all days below."""
    days: tuple[tuple[date, int], ...]
    """How many go on which day, in order; today's first, none perhaps."""
    spilled: int
    """How many go over `warm_up.spill_to` instead."""
    held_back_days: int
    """How many days the cap is behind its plan."""
    trouble: tuple[date, DayOutcome] | None
    """The last day with messages, where that is why the cap has not grown since."""

    @property
    def today(self) -> date:
        """The day of the launch, where the connection is."""
        return self.days[0][0]

    @property
    def recipients(self) -> int:
        """How many are assigned to the connection, on whichever day, spilled ones included."""
        return sum(number for _, number in self.days) + self.spilled

    def sentences(self) -> list[str]:
        """What to tell the operator."""
        (today, now), *later = self.days
        total = self.recipients
        said = f"{self.connection} warms up, at most {self.caps[today]:,} today ({today})"
        if self.spilled:
            said += f": {self.spilled:,} of {total:,} go over {self.warm_up.spill_to}"
        elif later:
            days = ", ".join(f"{number:,} on {day}" for day, number in later[:3])
            more = f", and so on until {later[-1][0]}" if later[3:] else ""
            said += f": {now:,} of {total:,} go today, {days}{more}"
        if not self.trouble:
            return [said]
        day, outcome = self.trouble
        return [
            said,
            f"{self.connection} is held back, its cap does not grow: on {day}"
            f" {outcome.troubled:,} of {outcome.attempted:,} messages ({outcome.percent:.1f} %)"
            f" were deferred or failed, more than {self.warm_up.trouble_percent:g} %",
        ]


def warming(connection: str, count: int, state: WarmUpState) -> Warming:
    """Give a campaign's recipients of a connection that warms up their days."""
    days = _days(count, state)
    last = max(state.outcomes, default=None)
    troubled = last and state.outcomes[last].is_trouble(state.warm_up.trouble_percent)
    return Warming(
        connection,
        state.warm_up,
        {day: state.cap_on(day) for day, _ in days},
        tuple(days),
        spilled=count - sum(number for _, number in days),
        held_back_days=state.held_back_days,
        trouble=(last, state.outcomes[last]) if last and troubled else None,
    )


def _days(count: int, state: WarmUpState) -> list[tuple[date, int]]:
    """How many recipients have room on which day; only today where the rest goes elsewhere."""
    found: list[tuple[date, int]] = []
    day = state.today
    while day == state.today or (count and state.warm_up.over_cap is OverCap.HOLD):
        cap = state.cap_on(day)
        room = count if cap is None else max(cap - state.taken.get(day, 0), 0)
        number = min(count, room)
        if number or day == state.today:
            found.append((day, number))
        count -= number
        day += timedelta(days=1)
    return found


def held_back_days(outcomes: Mapping[date, DayOutcome], today: date, trouble_percent: float) -> int:
    """Count the days on which the cap has not grown.

    After a day in trouble it stays what it was, up to the next day of `outcomes`, which are those
    that had messages, or up to `today`.
    """
    days = [*sorted(day for day in outcomes if day < today), today]
    return sum(
        (after - day).days
        for day, after in pairwise(days)
        if outcomes[day].is_trouble(trouble_percent)
    )


@dataclass(frozen=True, slots=True)
class WarmUpDay:
    """What a campaign has planned for one connection and day."""

    connection: str
    day: date
    planned: int
    cap: int | None
    held_back_days: int
