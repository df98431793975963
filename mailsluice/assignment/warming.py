"""A connection that warms up: its state, and a campaign's recipients there by day. Pure.

A warm-up counts days by the database's clock, since the provider counts real days. The result is
stored at the launch, so a campaign that takes a week does not change meanwhile. A recipient over
the day's cap is `deferred` without an attempt. Claims take deferred rows when they are due, so the
send loop needs to know nothing about warm-ups.

A mailbox provider may have lower caps of its own, beside those of the connection. Both hold. The
day's part of each provider is decided in `daily_share`. Trouble at such a provider holds its own
caps back and nothing else; the connection's caps answer for the mail to all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from mailsluice.assignment.day_outcome import DayOutcome, held_back_days
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core import complaints
from mailsluice.mailbox_providers import title_of

ALL_PROVIDERS = ""
"""Stands in place of a provider for all recipients of a connection."""
_MOST_NAMED = 5
"""Providers that are named one by one; there may be thousands."""


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
    providers: Mapping[str, WarmUpState] = field(default_factory=dict)
    """The states of the mailbox providers that have caps of their own."""

    @property
    def held_back_days(self) -> int:
        """Days by which the cap is behind its plan."""
        return held_back_days(self.outcomes, self.today, self.warm_up.trouble_percent)

    @property
    def has_cap(self) -> bool:
        """Whether anything is capped today."""
        states = (self, *self.providers.values())
        return any(state.cap_on(state.today) is not None for state in states)

    def cap_on(self, day: date) -> int | None:
        """Return the most messages on a day, as far as known today; None: there is no cap."""
        return self.warm_up.cap_on(day, self.held_back_days)


@dataclass(frozen=True, slots=True)
class Warming:
    """A campaign's recipients on a connection that warms up, shared out to days.

    Its `providers` are the parts of single mailbox providers, with caps of their own.
    """

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
    provider: str = ALL_PROVIDERS
    """The mailbox provider of these recipients, if it has caps of its own."""
    providers: tuple[Warming, ...] = ()
    """The parts of the mailbox providers with caps of their own; the connection's days include
    them."""

    @property
    def name(self) -> str:
        """The connection, and the mailbox provider that it sends to."""
        to = f" to {title_of(self.provider)}" if self.provider else ""
        return f"{self.connection}{to}"

    def plan(self) -> list[WarmUpDay]:
        """Return the plan by day, and then by provider with caps of its own."""
        days = [
            WarmUpDay(
                self.connection, part.provider, day, count, part.caps[day], part.held_back_days
            )
            for part in (self, *self.providers)
            for day, count in part.days
        ]
        return sorted(days, key=lambda row: (row.day, row.provider))

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
        waiting = [part for part in self.providers if part.days[1:] or part.spilled]
        waiting.sort(key=lambda part: -part.recipients)
        said = [_days_in_words(part) for part in (self, *waiting[:_MOST_NAMED])]
        if more := len(waiting[_MOST_NAMED:]):
            said.append(f"{self.connection}: {more:,} more providers have more than their cap")
        return [*said, *self.warnings()]

    def warnings(self) -> list[str]:
        """Say what was wrong with the last day's messages, if anything."""
        said = [warning for part in (self, *self.providers) for warning in _trouble(part)]
        if more := len(said[_MOST_NAMED:]):
            said[_MOST_NAMED:] = [f"{self.connection}: {more:,} more providers had such a day"]
        return said


def _days_in_words(part: Warming) -> str:
    (today, count_today), *later = part.days
    total, cap = part.recipients, part.caps[part.today]
    most = f"at most {cap:,}" if cap is not None else "without a cap"
    text = f"{part.name} warms up, {most} today ({today})"
    if part.spilled:
        text += f": {part.spilled:,} of {total:,} go over {part.warm_up.spill_to}"
    elif later:
        days = ", ".join(f"{count:,} on {day}" for day, count in later[:3])
        more = f", and so on until {later[-1][0]}" if later[3:] else ""
        text += f": {count_today:,} of {total:,} go today, {days}{more}"
    return text


def _trouble(part: Warming) -> list[str]:
    if not part.last:
        return []
    day, outcome = part.last
    held_back = f"{part.name} is held back, its cap does not grow: on {day}"
    if outcome.has_complaints(complaints.CRITICAL):
        said = f"{held_back} {_complained(outcome)}, more than {complaints.CRITICAL} %"
    elif outcome.is_trouble(part.warm_up.trouble_percent):
        said = (
            f"{held_back} {outcome.troubled:,} of {outcome.attempted:,} messages"
            f" ({outcome.percent:.1f} %) were deferred or failed, more than"
            f" {part.warm_up.trouble_percent:g} %"
        )
    elif outcome.has_complaints(complaints.WARNING):
        said = (
            f"{part.name}: on {day} {_complained(outcome)}, more than"
            f" {complaints.WARNING} %; above {complaints.CRITICAL} % its cap does not grow"
        )
    else:
        return []
    return [said]


def _complained(outcome: DayOutcome) -> str:
    return f"{outcome.complained:,} recipients of {outcome.attempted:,} messages reported spam"


@dataclass(frozen=True, slots=True)
class WarmUpDay:
    """A campaign's plan for a connection and a day, or for a mailbox provider there."""

    connection: str
    provider: str
    """Empty for all recipients of the connection."""
    day: date
    planned: int
    cap: int | None
    held_back_days: int
