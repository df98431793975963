"""When a campaign is to be finished: a moment, or a time of day on the day of its run. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.limits import ASSUMED, OWN, Bound

_HELP = (
    "write a day and a time, such as 2026-12-01 12:00 (in the time zone of the sending window) or"
    " 2026-12-01T12:00+01:00, or only a time, such as 12:00 (on the day of the run)"
)


_SPARE = 0.005
_TOLERANCE = 0.01
_MARGIN = 1.01
"""The least ratio of a limit to the pace under it: messages are spaced wider than limits allow."""


def _from_yaml(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    # YAML 1.1 reads 18:00 without quotes as a number to base 60: the minutes since midnight.
    return f"{value // 60:02}:{value % 60:02}" if type(value) is int else value or None


def _finish_time(text: str) -> str:
    finish_moment(text, date.min + timedelta(days=2), SendingWindow())
    return text


FinishTime = Annotated[
    Annotated[str, Field(max_length=40), AfterValidator(_finish_time)] | None,
    BeforeValidator(_from_yaml),
]
"""A moment in ISO 8601, or a time of day; text that is empty is None."""
LONGEST = timedelta(days=366)
"""A campaign is spread over at most so long."""


def finish_moment(text: str, day: date, window: SendingWindow) -> datetime:
    """Return the moment that a finish time means, for a run on a day.

    A moment without an offset is in the time zone of the sending window, or in UTC. Of an hour that
    the clock shows twice the first one counts. Raises ValueError.
    """
    zone = ZoneInfo(window.timezone or "UTC")
    try:
        if re.fullmatch(r"\d{1,2}:\d\d", text, re.ASCII):
            local = datetime.combine(day, time.fromisoformat(text.rjust(5, "0")), zone)
        elif re.match(r"[\d-]+[T ]", text, re.ASCII):
            local = datetime.fromisoformat(text)
        else:
            raise ValueError(text)
        moment = local if local.tzinfo else local.replace(tzinfo=zone)
        moment.astimezone(zone)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time to finish by: {_HELP}") from None
    return moment


class Span:
    """The time over which a campaign is spread, from its first possible message to its finish.

    Half a percent of the open time is kept free at the end, so that the last message is answered
    before the finish.
    """

    def __init__(self, window: SendingWindow, since: datetime, until: datetime) -> None:
        self.since = since
        self.until = until
        self._open = list(_open_periods(window, since, until))
        self._spare_seconds = _SPARE * self.open_seconds(since, until)

    @property
    def closes_at(self) -> datetime:
        """The last moment at which mail may go."""
        return self._open[-1][1] if self._open else self.until

    @property
    def tolerance(self) -> timedelta:
        """How much later than planned the end may be without being late."""
        return _TOLERANCE * (self.until - self.since)

    def open_seconds(self, since: datetime, until: datetime) -> float:
        """Return for how many seconds between two moments the sending window is open."""
        parts = ((max(start, since), min(end, until)) for start, end in self._open)
        return sum((end - start).total_seconds() for start, end in parts if end > start)

    def left(self, moment: datetime, until: datetime | None = None) -> tuple[datetime, float]:
        """Return when mail may go next, and over how many open seconds it is to be spread.

        `until`: to the end of a shorter time than the whole span.
        """
        seconds = self.open_seconds(moment, until or self.until)
        opens_at = next((max(start, moment) for start, end in self._open if end > moment), moment)
        return opens_at, max(0.0, seconds - self._spare_seconds)


def raised(bound: Bound, connection: str, per_second: float, share: Decimal | None) -> str:
    """Say to what a limit of a connection has to be raised for a pace.

    `share` is the connection's part of the campaign's limits.
    """
    field, seconds = str(bound.limit).partition(" ")[0], bound.limit.window_seconds
    least = math.ceil(_MARGIN * per_second * seconds)
    if bound.whose == ASSUMED:
        return f"give {connection} more sessions, for {per_second:,.1f} messages a second"
    if bound.whose != OWN:
        least = math.ceil(least / share) if share else least
        return f"raise the campaign's {field} to at least {least:,}"
    return f"raise {connection}'s {field} from {bound.limit.count:,} to at least {least:,}"


def _open_periods(
    window: SendingWindow, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    at = window.opens_at(since)
    while at < until:
        closes = window.closes_at(at) or until
        yield at, min(closes, until)
        at = window.opens_at(closes) if closes < until else until
