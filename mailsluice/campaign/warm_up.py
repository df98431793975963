"""The warm-up of a connection: the most messages that it may send on each day. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator

from mailsluice.campaign.provider_entry import ProviderEntry, entry_of, refuse_repeated
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


class ProviderWarmUp(ProviderEntry):
    """The daily caps of one mailbox provider during a warm-up; empty fields are as for all mail."""

    first_day: int | None = Field(
        None, ge=1, le=1_000_000_000, description="The most messages on the first day."
    )
    growth: float | None = Field(
        None,
        ge=1,
        le=10,
        description="The cap of a day, as a multiple of the cap of the day before.",
    )
    daily_caps: tuple[Annotated[int, Field(ge=1, le=1_000_000_000)], ...] = Field(
        (),
        max_length=366,
        description="The cap of each day, in order, instead of a first day and growth.",
    )
    until: date | None = Field(None, description="The last day with a cap.")
    trouble_percent: float | None = Field(
        None,
        ge=0,
        le=100,
        description="If more than this percentage of a day's messages to the provider was deferred"
        " or failed, its cap does not grow on the next day.",
    )

    @field_validator("until", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


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

    per_provider: tuple[ProviderWarmUp, ...] = Field(
        (),
        max_length=100,
        title="Caps by mailbox provider",
        description="Lower caps for the mail to single mailbox providers, beside the caps above.",
    )

    @field_validator("start", "until", "timezone", "spill_to", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        caps = self.first_day or self.daily_caps or self.per_provider
        given = caps or self.until or self.spill_to
        if given and self.start is None:
            raise ValueError("a warm-up needs its first day: add start, or leave all fields empty")
        if self.start and bool(self.first_day) == bool(self.daily_caps):
            raise ValueError("a warm-up has either first_day (with growth) or daily_caps: give one")
        if self.first_day and self.until is None:
            raise ValueError("a warm-up that grows needs its last day: add until")
        _refuse_end(self.start, self.until)
        if (self.over_cap is OverCap.SPILL) != bool(self.spill_to):
            raise ValueError(
                "over_cap and spill_to disagree: name another connection in spill_to for spill, and"
                " leave it empty for hold"
            )
        return self

    @model_validator(mode="after")
    def _providers_are_whole(self) -> Self:
        refuse_repeated(self.per_provider)
        for entry in self.per_provider:
            try:
                _refuse_end(self.start, self._of_entry(entry).until)
            except ValueError as error:
                raise ValueError(f"per_provider > {entry.provider}: {error}") from None
        return self

    def of_provider(self, name: str) -> WarmUp | None:
        """Return the warm-up of a mailbox provider, if it has caps of its own."""
        entry = entry_of(self.per_provider, name)
        return self._of_entry(entry) if entry else None

    def of_providers(self, names: Iterable[str]) -> dict[str, WarmUp]:
        """Return the warm-up of each of these mailbox providers that has caps of its own."""
        by_entry = {entry.provider: self._of_entry(entry) for entry in self.per_provider}
        entries = ((name, entry_of(self.per_provider, name)) for name in names)
        return {name: by_entry[entry.provider] for name, entry in entries if entry}

    def _of_entry(self, entry: ProviderWarmUp) -> WarmUp:
        """Return the warm-up of an entry. Raises ValueError if its fields contradict each other."""
        if entry.first_day and entry.daily_caps:
            raise ValueError("give either first_day (with growth) or daily_caps")
        has_caps = entry.first_day or entry.daily_caps
        first_day = entry.first_day if has_caps else self.first_day
        if entry.growth and not first_day:
            raise ValueError("growth needs first_day: add it, or remove growth")
        if not (has_caps or entry.growth or entry.until):
            raise ValueError("there is no cap: add first_day or daily_caps")
        own = {"growth": entry.growth, "trouble_percent": entry.trouble_percent}
        return self.model_copy(
            update={
                "first_day": first_day,
                "daily_caps": entry.daily_caps if has_caps else self.daily_caps,
                "until": entry.until or (self._last_day if entry.first_day else self.until),
                "per_provider": (),
                **{name: value for name, value in own.items() if value is not None},
            }
        )

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

    def caps_around(self, today: date, held_back_days: int = 0) -> tuple[Cap, ...]:
        """Return the caps of a day, and of the days before and after.

        The caps are in order of time; days without a cap are left out.
        """
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


def _refuse_end(start: date | None, until: date | None) -> None:
    if start and until and until < start:
        raise ValueError(f"the warm-up ends on {until}, before it starts: correct until")
    if start and until and (until - start).days > _MOST_DAYS:
        raise ValueError(f"a warm-up takes at most {_MOST_DAYS:,} days: correct until")
