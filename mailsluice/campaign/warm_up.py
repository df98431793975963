"""The warm-up of a connection: how many messages it may send on a day. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from mailsluice.core.forms import Document
from mailsluice.core.timezones import Timezone, start_of_day
from mailsluice.limits import Cap

_DAY = timedelta(days=1)
_MOST_DAYS = 1_000
_MOST = 1_000_000_000_000  # growth soon leaves the numbers that databases hold


class OverCap(StrEnum):
    """What happens to recipients over the cap of the day."""

    HOLD = "hold"
    """They get the mail on the next day that has room, over the same connection."""
    SPILL = "spill"
    """They get it at once, over another connection that is named."""


class WarmUp(Document):
    """A cap a day that grows, for a connection that nobody knows yet. Left empty: no warm-up."""

    start: date | None = Field(
        None, description="The first day. Left empty with the rest: no warm-up."
    )
    first_day: int | None = Field(
        None, ge=1, le=1_000_000_000, description="The most messages on the first day."
    )
    growth: float = Field(
        1.3, ge=1, le=10, description="Each day may have this many times what the day before had."
    )
    daily_caps: tuple[Annotated[int, Field(ge=1, le=1_000_000_000)], ...] = Field(
        (), max_length=366, description="The caps day by day, instead of the first day and growth."
    )
    until: date | None = Field(
        None,
        description="The last day with a cap; with a list of caps, the day of the last of them when"
        " left empty.",
    )
    timezone: Timezone | None = Field(
        None, title="Time zone", description="Where the days begin; UTC when left empty."
    )
    over_cap: OverCap = Field(
        OverCap.HOLD,
        description="Recipients over the cap. hold: they get the mail on the next day with room."
        " spill: they get it over another connection.",
    )
    spill_to: str | None = Field(
        None, max_length=200, description="The name of that connection, for spill."
    )
    trouble_percent: float = Field(
        10,
        ge=0,
        le=100,
        description="Where more than this share of a day's messages was deferred or failed, the cap"
        " stays what it was on that day.",
    )

    @field_validator("start", "until", "timezone", "spill_to", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = self.first_day or self.daily_caps or self.until or self.spill_to
        if given and self.start is None:
            raise ValueError("a warm-up has its first day: add start, or leave all of it empty")
        if self.start and bool(self.first_day) == bool(self.daily_caps):
            raise ValueError("a warm-up has either first_day (with growth) or daily_caps")
        if self.first_day and self.until is None:
            raise ValueError("a warm-up that grows ends some day: add until")
        if self.start and self.until and self.until < self.start:
            raise ValueError(f"the warm-up ends on {self.until}, before it starts: correct until")
        if self.start and self.until and (self.until - self.start).days > _MOST_DAYS:
            raise ValueError(f"a warm-up takes at most {_MOST_DAYS:,} days: correct until")
        if (self.over_cap is OverCap.SPILL) != bool(self.spill_to):
            raise ValueError(
                "over_cap spill needs the name of another connection in spill_to, and hold none"
            )
        return self

    def today(self, moment: datetime) -> date:
        """The day there at an aware moment."""
        return moment.astimezone(ZoneInfo(self.timezone or "UTC")).date()

    def begins(self, day: date) -> float:
        """When a day begins there, in seconds since the epoch."""
        return start_of_day(day, self.timezone or "UTC").timestamp()

    def cap_on(self, day: date, held_back_days: int = 0) -> int | None:
        """The most messages on a day; None: there is no cap.

        `held_back_days` are the days on which the cap did not grow: the rest of the plan is so much
        later.
        """
        if self.start is None or not self.start <= day <= self._last_day + held_back_days * _DAY:
            return None
        step = max((day - self.start).days - held_back_days, 0)
        if self.daily_caps:
            return self.daily_caps[min(step, len(self.daily_caps) - 1)]
        return min(int((self.first_day or 0) * Fraction(str(self.growth)) ** step), _MOST)

    def caps_around(self, moment: datetime, held_back_days: int = 0) -> tuple[Cap, ...]:
        """The caps of the day before an aware moment, of its day and of the next.

        In order of time; days without a cap are left out.
        """
        today = self.today(moment)
        days = (today - _DAY, today, today + _DAY)
        caps = ((day, self.cap_on(day, held_back_days)) for day in days)
        return tuple(
            Cap(self.begins(day), self.begins(day + _DAY), cap)
            for day, cap in caps
            if cap is not None
        )

    @property
    def _last_day(self) -> date:
        if self.until:
            return self.until
        return (self.start or date.min) + (len(self.daily_caps) - 1) * _DAY
