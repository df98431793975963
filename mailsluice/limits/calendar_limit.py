"""Limits on the messages of each calendar day or month, in the time zone of a provider. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from mailsluice.core.timezones import is_known

_DAY = timedelta(days=1)
_LAST_HOUR, _LAST_DAY = 23, 28


class Unit(StrEnum):
    """The period in which a calendar limit counts messages."""

    DAY = "calendar day"
    MONTH = "month"


class CalendarRates(Protocol):
    """Anything with calendar limits: a connection."""

    @property
    def per_calendar_day(self) -> int | None: ...
    @property
    def day_begins_at(self) -> int: ...
    @property
    def per_month(self) -> int | None: ...
    @property
    def month_begins_on(self) -> int: ...
    @property
    def calendar_timezone(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class CalendarLimit:
    """At most `count` messages in each day or month, as the provider's calendar shows it."""

    count: int
    unit: Unit
    timezone: str
    begins: int
    """The hour at which the day begins (0 to 23), or the day on which the month begins (1 to 28).
    An hour that a change of the clock leaves out begins at the change; of an hour that comes twice,
    the first counts."""

    def period(self, moment: float) -> tuple[float, float]:
        """Return the beginning and the end of the day or month that has this moment.

        Moments are in seconds since the epoch. All of them are whole quarters of an hour, since so
        are the offsets of all time zones.
        """
        day = datetime.fromtimestamp(moment, ZoneInfo(self.timezone)).date()
        day += _DAY  # a period may begin late on a day
        while (begins := self._begins(day)) > moment:
            day -= _DAY if self.unit is Unit.DAY else timedelta(days=day.day)
        return begins, self._begins(self._after(day))

    def __str__(self) -> str:
        return f"{self.count:,} a {self.unit}"

    def _begins(self, day: date) -> float:
        """Return when the period of this day, or of its month, begins."""
        zone = ZoneInfo(self.timezone)
        if self.unit is Unit.DAY:
            return datetime(day.year, day.month, day.day, self.begins, tzinfo=zone).timestamp()
        return datetime(day.year, day.month, self.begins, tzinfo=zone).timestamp()

    def _after(self, day: date) -> date:
        """Return a day whose period is the next one."""
        return day + _DAY if self.unit is Unit.DAY else day.replace(day=28) + 4 * _DAY


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A calendar limit, and the messages that count in its period at a moment."""

    limit: CalendarLimit
    used: int
    ends_at: float
    """When the period ends, in seconds since the epoch."""

    @property
    def room(self) -> int:
        """How many more messages the period has room for."""
        return max(0, self.limit.count - self.used)


def refuse_no_calendar(rates: CalendarRates) -> None:
    """Raise ValueError where days or months would begin at a time that no calendar has."""
    if not 0 <= rates.day_begins_at <= _LAST_HOUR:
        raise ValueError(f"day_begins_at is {rates.day_begins_at}: give an hour from 0 to 23")
    if not 1 <= rates.month_begins_on <= _LAST_DAY:
        raise ValueError(
            f"month_begins_on is {rates.month_begins_on}: give a day from 1 to 28, as every month"
            " has"
        )
    if rates.calendar_timezone and not is_known(rates.calendar_timezone):
        raise ValueError(
            f"unknown calendar_timezone {rates.calendar_timezone!r}: use an IANA name, such as"
            " America/Los_Angeles or UTC"
        )


def calendar_limits(rates: CalendarRates) -> tuple[CalendarLimit, ...]:
    """Return the calendar limits that are set."""
    zone = rates.calendar_timezone or "UTC"
    limits = (
        (rates.per_calendar_day, Unit.DAY, rates.day_begins_at),
        (rates.per_month, Unit.MONTH, rates.month_begins_on),
    )
    return tuple(
        CalendarLimit(count, unit, zone, begins)
        for count, unit, begins in limits
        if count is not None
    )
