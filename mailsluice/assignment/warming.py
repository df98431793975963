"""Share a campaign's recipients on a warming connection out to days. Pure.

A warm-up counts days by the database's clock, since the provider counts real days. The result is
stored at the launch, so a campaign that takes a week does not change meanwhile. A recipient over
the day's cap is `deferred` without an attempt. Claims take deferred rows when they are due, so the
send loop needs to know nothing about warm-ups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from mailsluice.campaign.warm_up import OverCap, WarmUp
from mailsluice.core import complaints

_LEAST_TROUBLED = 5
"""Fewer messages in trouble say more about their recipients than about the connection."""


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """The outcome of a connection's messages on a day."""

    attempted: int
    troubled: int
    """Messages that were deferred or failed, or that the provider reports as deferred, bounced or
    blocked later."""
    complained: int = 0
    """Messages that their recipients reported as spam."""

    @property
    def percent(self) -> float:
        """The percentage of messages that were deferred or failed."""
        return 100 * self.troubled / self.attempted if self.attempted else 0.0

    def is_trouble(self, threshold_percent: float) -> bool:
        """Whether a warm-up with this threshold must not grow after this day."""
        is_refused = self.troubled >= _LEAST_TROUBLED and self.percent > threshold_percent
        return is_refused or self.has_complaints(complaints.CRITICAL)

    def has_complaints(self, percent: str) -> bool:
        """Whether more than this percentage of the messages was reported as spam."""
        return complaints.are_above(percent, self.complained, self.attempted)


@dataclass(frozen=True, slots=True)
class WarmUpState:
    """The state of a connection's warm-up on a day."""

    warm_up: WarmUp
    today: date
    """The day of the launch, in the warm-up's time zone."""
    taken: Mapping[date, int]
    """Messages that other campaigns have planned, by day, from today on."""
    outcomes: Mapping[date, DayOutcome]
    """The outcomes of the days before today that had messages."""

    @property
    def held_back_days(self) -> int:
        """Days by which the cap is behind its plan."""
        return held_back_days(self.outcomes, self.today, self.warm_up.trouble_percent)

    def cap_on(self, day: date) -> int | None:
        """Return the most messages on a day, as far as known today; None: there is no cap."""
        return self.warm_up.cap_on(day, self.held_back_days)


@dataclass(frozen=True, slots=True)
class Warming:
    """A campaign's recipients on a connection that warms up, shared out to days."""

    connection: str
    warm_up: WarmUp = field(repr=False)
    caps: Mapping[date, int | None]
    """The caps of all days of `days`."""
    days: tuple[tuple[date, int], ...]
    """Days with their number of recipients, in order; the first is today, perhaps with none."""
    spilled: int
    """Recipients that go over `warm_up.spill_to` instead."""
    held_back_days: int
    """Days by which the cap is behind its plan."""
    last: tuple[date, DayOutcome] | None
    """The last day with messages before today, and its outcome."""

    @property
    def today(self) -> date:
        """The day of the launch, in the warm-up's time zone."""
        return self.days[0][0]

    @property
    def recipients(self) -> int:
        """Recipients that are assigned to the connection, including the spilled ones."""
        return sum(count for _, count in self.days) + self.spilled

    def sentences(self) -> list[str]:
        """Describe the days, the spilling and the trouble to the operator."""
        (today, count_today), *later = self.days
        total = self.recipients
        text = f"{self.connection} warms up, at most {self.caps[today]:,} today ({today})"
        if self.spilled:
            text += f": {self.spilled:,} of {total:,} go over {self.warm_up.spill_to}"
        elif later:
            days = ", ".join(f"{count:,} on {day}" for day, count in later[:3])
            more = f", and so on until {later[-1][0]}" if later[3:] else ""
            text += f": {count_today:,} of {total:,} go today, {days}{more}"
        return [text, *self.warnings()]

    def warnings(self) -> list[str]:
        """Say what was wrong with the last day's messages, if anything."""
        if not self.last:
            return []
        day, outcome = self.last
        held_back = f"{self.connection} is held back, its cap does not grow: on {day}"
        if outcome.has_complaints(complaints.CRITICAL):
            said = f"{held_back} {_complained(outcome)}, more than {complaints.CRITICAL} %"
        elif outcome.is_trouble(self.warm_up.trouble_percent):
            said = (
                f"{held_back} {outcome.troubled:,} of {outcome.attempted:,} messages"
                f" ({outcome.percent:.1f} %) were deferred or failed, more than"
                f" {self.warm_up.trouble_percent:g} %"
            )
        elif outcome.has_complaints(complaints.WARNING):
            said = (
                f"{self.connection}: on {day} {_complained(outcome)}, more than"
                f" {complaints.WARNING} %; above {complaints.CRITICAL} % its cap does not grow"
            )
        else:
            return []
        return [said]


def _complained(outcome: DayOutcome) -> str:
    return f"{outcome.complained:,} recipients of {outcome.attempted:,} messages reported spam"


def warming(connection: str, count: int, state: WarmUpState) -> Warming:
    """Share `count` recipients of a connection that warms up out to days."""
    days = _days(count, state)
    last = max(state.outcomes, default=None)
    return Warming(
        connection,
        state.warm_up,
        {day: state.cap_on(day) for day, _ in days},
        tuple(days),
        spilled=count - sum(on_day for _, on_day in days),
        held_back_days=state.held_back_days,
        last=(last, state.outcomes[last]) if last else None,
    )


def _days(count: int, state: WarmUpState) -> list[tuple[date, int]]:
    """Fill the days up to their caps; only today if the other recipients spill."""
    days: list[tuple[date, int]] = []
    day = state.today
    while day == state.today or (count and state.warm_up.over_cap is OverCap.HOLD):
        cap = state.cap_on(day)
        room = count if cap is None else max(cap - state.taken.get(day, 0), 0)
        on_day = min(count, room)
        if on_day or day == state.today:
            days.append((day, on_day))
        count -= on_day
        day += timedelta(days=1)
    return days


def held_back_days(outcomes: Mapping[date, DayOutcome], today: date, trouble_percent: float) -> int:
    """Count the days on which the cap did not grow.

    After a day in trouble, the cap stays the same until the next day with messages, or `today`.
    `outcomes` has the days with messages.
    """
    days = [*sorted(day for day in outcomes if day < today), today]
    return sum(
        (after - day).days
        for day, after in pairwise(days)
        if outcomes[day].is_trouble(trouble_percent)
    )


@dataclass(frozen=True, slots=True)
class WarmUpDay:
    """A campaign's plan for a connection and a day."""

    connection: str
    day: date
    planned: int
    cap: int | None
    held_back_days: int
