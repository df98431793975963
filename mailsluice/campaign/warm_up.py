"""The warm-up of a connection: the most messages that it may send on each day. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator

from mailsluice.core.forms import Document
from mailsluice.core.timezones import Timezone, start_of_day
from mailsluice.limits import Cap

_DAY = timedelta(days=1)
_MOST_DAYS = 1_000
_MOST = 1_000_000_000_000  # growth soon exceeds the integers that databases hold


class OverCap(StrEnum):
    """The treatment of recipients over the cap of the day."""

    HOLD = "hold"
    """Recipients over the cap wait for the next day with room, on the same connection."""
    SPILL = "spill"
    """Recipients over the cap go at once over another connection, which the warm-up names."""


class WarmUp(Document):
    """A daily cap that grows, for a connection without a reputation yet. Left empty: no warm-up."""

    model_config = ConfigDict(title="Warm-up")  # the older UI shows it instead of the field's

    start: date | None = Field(
        None, description="The first day. Leave all fields empty for no warm-up."
    )
    first_day: int | None = Field(
        None, ge=1, le=1_000_000_000, description="The most messages on the first day."
    )
    growth: float = Field(
        1.3,
        ge=1,
        le=10,
        description="The cap of a day, as a multiple of the cap of the day before.",
    )
    daily_caps: tuple[Annotated[int, Field(ge=1, le=1_000_000_000)], ...] = Field(
        (),
        max_length=366,
        description="The cap of each day, in order, instead of a first day and growth.",
    )
    until: date | None = Field(
        None,
        description="The last day with a cap; if left empty, the day of the last daily cap.",
    )
    timezone: Timezone | None = Field(
        None, title="Time zone", description="The time zone of the days; UTC if left empty."
    )
    over_cap: OverCap = Field(
        OverCap.HOLD,
        description="What happens to recipients over the cap. hold: they get the mail on the next"
        " day with room. spill: they get the mail over another connection.",
    )
    spill_to: str | None = Field(
        None, max_length=200, description="The name of the other connection, for spill."
    )
    trouble_percent: float = Field(
        10,
        ge=0,
        le=100,
        description="If more than this percentage of a day's messages was deferred or failed, at"
        " once or by later events, the cap does not grow on the next day.",
    )

    @field_validator("start", "until", "timezone", "spill_to", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = self.first_day or self.daily_caps or self.until or self.spill_to
        if given and self.start is None:
            raise ValueError("a warm-up needs its first day: add start, or leave all fields empty")
        if self.start and bool(self.first_day) == bool(self.daily_caps):
            raise ValueError("a warm-up has either first_day (with growth) or daily_caps: give one")
        if self.first_day and self.until is None:
            raise ValueError("a warm-up that grows needs its last day: add until")
        if self.start and self.until and self.until < self.start:
            raise ValueError(f"the warm-up ends on {self.until}, before it starts: correct until")
        if self.start and self.until and (self.until - self.start).days > _MOST_DAYS:
            raise ValueError(f"a warm-up takes at most {_MOST_DAYS:,} days: correct until")
        if (self.over_cap is OverCap.SPILL) != bool(self.spill_to):
            raise ValueError(
                "over_cap and spill_to disagree: name another connection in spill_to for spill, and"
                " leave it empty for hold"
            )
        return self

    def today(self, moment: datetime) -> date:
        """Return the day in the warm-up's time zone at an aware moment."""
        return moment.astimezone(ZoneInfo(self.timezone or "UTC")).date()

    def begins(self, day: date) -> float:
        """Return when a day begins in the warm-up's time zone, in seconds since the epoch."""
        return start_of_day(day, self.timezone or "UTC").timestamp()

    def cap_on(self, day: date, held_back_days: int = 0) -> int | None:
        """Return the most messages on a day; None: there is no cap.

        `held_back_days` is the number of days on which the cap did not grow, so that the rest of
        the plan is as many days later.
        """
        if self.start is None or not self.start <= day <= self._last_day + held_back_days * _DAY:
            return None
        step = max((day - self.start).days - held_back_days, 0)
        if self.daily_caps:
            return self.daily_caps[min(step, len(self.daily_caps) - 1)]
        return min(int((self.first_day or 0) * Fraction(str(self.growth)) ** step), _MOST)

    def caps_around(self, moment: datetime, held_back_days: int = 0) -> tuple[Cap, ...]:
        """Return the caps of the day of an aware moment, and of the days before and after.

        The caps are in order of time; days without a cap are left out.
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
