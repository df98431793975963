"""The sending window: the days and hours in which mail may be sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from mailsluice.core.forms import Document
from mailsluice.core.timezones import Timezone, zone

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_MINUTES = 24 * 60
_HORIZON = timedelta(days=22)  # a weekly window that a clock change skips opens two weeks on
_STEP = timedelta(hours=6)  # no zone changes its clocks twice in so short a time


def _time_of_day(value: str) -> str:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d|24:00", value, re.ASCII):
        raise ValueError(f"{value!r} is no time of day: write it as 09:00, from 00:00 to 24:00")
    return value


ClockTime = Annotated[str, AfterValidator(_time_of_day)]


class SendingWindow(Document):
    """The days and hours in which mail is sent. With all fields left empty: at any time."""

    days: str | None = Field(
        None,
        description="The days: Mon-Fri, or Mon, Wed, Sat. Leave all fields empty to send at any"
        " time.",
    )
    start: ClockTime | None = Field(
        None, description="The time at which sending starts, such as 09:00; midnight if left empty."
    )
    end: ClockTime | None = Field(
        None,
        description="The time at which sending stops, such as 18:00; midnight if left empty. An end"
        " that is not after the start is on the next day.",
    )
    timezone: Timezone | None = Field(
        None,
        title="Time zone",
        description="The time zone of days and hours, such as Europe/Berlin; UTC if left empty."
        " With a column of time zones: that of recipients whose own zone is not known.",
    )

    zone_column: str | None = Field(
        None,
        max_length=1_000,
        title="Column of time zones",
        description="A column of the recipients with time zones, such as America/New_York or"
        " +02:00: days and hours are then those of each recipient's own zone.",
    )
    country_column: str | None = Field(
        None,
        max_length=1_000,
        title="Column of countries",
        description="A column of the recipients with countries, such as DE, DEU or Germany: the"
        " same, by the zone in which most people of the country live. A known time zone comes"
        " first.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        # YAML 1.1 reads 18:00 without quotes as a number to base 60: the minutes since midnight.
        return f"{value // 60:02}:{value % 60:02}" if type(value) is int else value

    @field_validator("days")
    @classmethod
    def _some_day(cls, value: str | None) -> str | None:
        if value is not None and not _weekdays(value):
            raise ValueError("the sending window has no day, so it never opens: write Mon-Fri")
        return value

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        if self.days is None and self.in_own_zones:
            raise ValueError(
                "a column of time zones or countries needs the days and hours that apply in them:"
                " give days, such as Mon-Sun, and start and end, or leave the column empty"
            )
        if self.days is None and (self.start or self.end or self.timezone):
            raise ValueError(
                "the sending window has no day, so it never opens: give its days, such as Mon-Fri,"
                " or leave all its fields empty to send at any time"
            )
        return self

    @property
    def in_own_zones(self) -> bool:
        """Whether days and hours are those of each recipient's own time zone."""
        return bool(self.zone_column or self.country_column)

    def in_zone(self, name: str) -> SendingWindow:
        """Return the window of the same days and hours in a time zone.

        Time zones are named as `mailsluice.core.timezones.zone` does; an empty name is the window's
        own zone.
        """
        columns = {"zone_column": None, "country_column": None}
        return self.model_copy(update={**columns, "timezone": name or self.timezone})

    def is_open(self, moment: datetime) -> bool:
        """Whether mail may be sent at an aware moment, by a clock on the wall in the time zone.

        An hour that the clock skips is in no window; an hour that it shows twice counts twice.
        """
        if self.days is None:
            return True
        local = moment.astimezone(self._zone)
        since_midnight = local.replace(tzinfo=None) - datetime.combine(local.date(), time())
        days = _weekdays(self.days)
        start, length = timedelta(minutes=self._start), timedelta(minutes=self._length)
        return (local.weekday() in days and start <= since_midnight < start + length) or (
            (local.weekday() - 1) % 7 in days
            and since_midnight + timedelta(days=1) < start + length
        )

    def opens_at(self, moment: datetime) -> datetime:
        """Return the first open moment (UTC) at or after an aware moment."""
        if self.is_open(moment):
            return moment.astimezone(UTC)
        return next(self._turns(moment, self._start, is_open=True))

    def closes_at(self, moment: datetime) -> datetime | None:
        """Return the first closed moment (UTC) at or after an aware moment; None: never closed."""
        if not self.is_open(moment):
            return moment.astimezone(UTC)
        return next(self._turns(moment, self._start + self._length, is_open=False), None)

    @property
    def _zone(self) -> tzinfo:
        return zone(self.timezone or "UTC")

    @property
    def _start(self) -> int:
        """Minutes after midnight."""
        return _minutes(self.start or "00:00")

    @property
    def _length(self) -> int:
        """Minutes by the clock on the wall; past midnight if the end is not after the start."""
        return (_minutes(self.end or "24:00") - self._start - 1) % _DAY_MINUTES + 1

    def _turns(self, after: datetime, minutes: int, *, is_open: bool) -> Iterator[datetime]:
        """Yield the moments (UTC) at which the window can open, or close, until the first sure one.

        These are the moments at which the zone changes its clocks, and the first one at which the
        clock shows `minutes` after a midnight.
        """
        turn = next((at for at in self._daily(after, minutes) if self.is_open(at) is is_open), None)
        for change in _clock_changes(self._zone, after.astimezone(UTC), turn):
            if self.is_open(change) is is_open:
                yield change
        if turn:
            yield turn

    def _daily(self, after: datetime, minutes: int) -> list[datetime]:
        """List the moments (UTC) at which the clock shows `minutes` after a midnight."""
        first = after.astimezone(self._zone).date() - timedelta(days=2)
        walls = (
            datetime.combine(first, time(), self._zone) + timedelta(days=day, minutes=minutes)
            for day in range(_HORIZON.days)
        )
        turns = (wall.replace(fold=fold).astimezone(UTC) for wall in walls for fold in (0, 1))
        return sorted(turn for turn in turns if turn > after)


def _clock_changes(zone: tzinfo, after: datetime, until: datetime | None) -> Iterator[datetime]:
    """Yield the moments (UTC) at which a zone's offset changes, at most within the horizon."""
    low = after.replace(microsecond=0)
    end = until or low + _HORIZON
    while low < end:
        high = min(low + _STEP, end)
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            yield _change(zone, low, high)
        low = high


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """Find the change of a zone's offset between two moments, by bisection."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        is_before = middle.astimezone(zone).utcoffset() == before
        low, high = (middle, high) if is_before else (low, middle)
    return high


@lru_cache
def _weekdays(text: str) -> frozenset[int]:
    """Return the days (0 is Monday) of a text like `Mon-Fri, Sun`. Raises ValueError."""
    days: set[int] = set()
    for part in filter(None, re.split(r"[,;\s]+", re.sub(r"(?<!\s)\s*[-–]\s*", "-", text))):
        first, _, last = part.partition("-")
        start, end = _weekday(first), _weekday(last or first)
        days.update((start + i) % 7 for i in range((end - start) % 7 + 1))
    return frozenset(days)


def _weekday(name: str) -> int:
    for number, day in enumerate(_DAYS):
        if len(name) >= 3 and day.startswith(name.lower()):
            return number
    raise ValueError(f"{name!r} is no day: write Mon, Tue, Wed, Thu, Fri, Sat, Sun, or Mon-Fri")


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
