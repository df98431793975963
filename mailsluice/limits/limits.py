"""Limits on the messages in any trailing window, and a campaign's limits shared out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

from mailsluice.limits.apportionment import quotas
from mailsluice.limits.calendar_limit import CalendarLimit

_WINDOWS = {
    "per_second": 1.0,
    "per_minute": 60.0,
    "per_hour": 3_600.0,
    "per_day": 86_400.0,
    "per_week": 604_800.0,
}
_NAMES = {window: name for name, window in _WINDOWS.items()}
_UNITS = {
    1.0: "a second",
    60.0: "a minute",
    3_600.0: "an hour",
    86_400.0: "a day",
    604_800.0: "a week",
}
OWN, ASSUMED = "its own", "assumed"
"""Owners of a limit: the connection, and nobody."""
_SECONDS_OF_HOUR, _MANY = 3_600.0, 10


class Rates(Protocol):
    """Anything with limits: a connection, or a campaign's throttle.

    A connection may have `per_week` as well.
    """

    @property
    def per_second(self) -> int | None: ...
    @property
    def per_minute(self) -> int | None: ...
    @property
    def per_hour(self) -> int | None: ...
    @property
    def per_day(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages in any trailing window of this length."""

    count: int
    window_seconds: float

    def __str__(self) -> str:
        """Name the limit by its field in the form, or by its window where it has no field.

        A share of less than one message a window has a longer window.
        """
        name = _NAMES.get(self.window_seconds)
        window = timedelta(seconds=round(self.window_seconds))
        return f"{name} {self.count:,}" if name else f"limit, {self.count:,} in {window}"


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that messages are spaced by, with its owner for people to read."""

    limit: Limit
    whose: str

    @property
    def per_second(self) -> float:
        """Messages a second that the limit allows."""
        return self.limit.count / self.limit.window_seconds

    def __str__(self) -> str:
        seconds = self.limit.window_seconds
        per = _UNITS.get(seconds) or f"in {timedelta(seconds=round(seconds))}"
        return f"{self.limit.count:,} {per} ({self.whose})"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `count` messages from `start` until `end`, in seconds since the epoch."""

    start: float
    end: float
    count: int


@dataclass(frozen=True, slots=True)
class Pace:
    """An even pace that is no limit: it spreads the messages that are left over a time."""

    gap_seconds: float

    def __str__(self) -> str:
        if self.gap_seconds < _SECONDS_OF_HOUR / _MANY:
            return f"{_SECONDS_OF_HOUR / self.gap_seconds:,.0f} an hour"
        return f"one in {timedelta(seconds=round(self.gap_seconds))}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that all processes that send under the same key have to keep together."""

    limits: tuple[Limit, ...] = ()
    caps: tuple[Cap, ...] = ()
    """Ordered by time, not overlapping."""
    calendar: tuple[CalendarLimit, ...] = ()
    is_paced: bool = False
    """Whether starts are spaced as the usage says, see `Usage.spread`."""
    is_common: bool = False
    """Whether connections draw on these limits alike, without shares that space their starts."""

    def __bool__(self) -> bool:
        return bool(self.limits or self.caps or self.calendar or self.is_paced)

    @property
    def per_second(self) -> float:
        """Messages a second that the limits allow in the long run; infinity without limits."""
        return min((limit.count / limit.window_seconds for limit in self.limits), default=math.inf)


def limits(rates: Rates) -> tuple[Limit, ...]:
    """Return the limits that are set."""
    counts = ((getattr(rates, name, None), window) for name, window in _WINDOWS.items())
    return tuple(Limit(count, window) for count, window in counts if count is not None)


def shared(rates: Rates, shares: Mapping[str, Decimal]) -> dict[str, tuple[Limit, ...]]:
    """Share a campaign's limits out to its connections, by largest remainder.

    For example, 6,000 an hour at 70/30 is 4,200 and 1,800. A share of less than one message a
    window becomes one message in a longer window.

    Args:
        rates: The campaign's limits.
        shares: Each connection's share, as a fraction.
    """
    parts: dict[str, list[Limit]] = {name: [] for name in shares}
    used = {name: share for name, share in shares.items() if share > 0}
    for limit in limits(rates):
        counts = quotas(limit.count, list(used.values()))
        for (name, share), count in zip(used.items(), counts, strict=True):
            if limit.count * share < 1:
                window = limit.window_seconds / float(limit.count * share)
                parts[name].append(Limit(1, window))
            else:
                parts[name].append(Limit(count, limit.window_seconds))
    return {name: tuple(part) for name, part in parts.items()}


def bounds(own: Rates, throttle: Rates, shares: Mapping[str, Decimal], name: str) -> list[Bound]:
    """List the limits on the messages of a connection: its own, and its share of the campaign's.

    A connection without a share, which only takes over recipients of others, may use the campaign's
    limits as a whole.
    """
    if shares.get(name):
        part, whose = shared(throttle, shares)[name], "its share of the campaign's"
    else:
        part, whose = limits(throttle), "the campaign's"
    own_bounds = [Bound(limit, OWN) for limit in limits(own)]
    return own_bounds + [Bound(limit, whose) for limit in part]
