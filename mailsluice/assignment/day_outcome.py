"""The outcome of a day of a warm-up, and whether the caps grow after it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

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

    def __add__(self, other: DayOutcome) -> DayOutcome:
        return DayOutcome(
            self.attempted + other.attempted,
            self.troubled + other.troubled,
            self.complained + other.complained,
        )

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
