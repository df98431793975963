"""Time zones by their IANA names, as documents give them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator

_NEAR_SECONDS = 120.0


def is_known(name: str) -> bool:
    """Whether this is the name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no relative path; a folder of the database
        return False
    return True


def _known(name: str) -> str:
    if not is_known(name):
        by_lower = {one.lower(): one for one in available_timezones()}
        close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.4)
        hint = by_lower[close[0]] if close else "Europe/Berlin"
        raise ValueError(f"unknown time zone {name!r}: use an IANA name, such as {hint} or UTC")
    return name


Timezone = Annotated[str, AfterValidator(_known)]
"""The IANA name of a time zone, checked."""


def start_of_day(day: date, timezone: str) -> datetime:
    """The moment (UTC) at which a calendar day begins there."""
    return datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)


def shown(moment: datetime, now: datetime, timezone: str = "UTC") -> str:
    """An aware moment as a clock there shows it: with seconds where it is near, with the day where
    it is not today.
    """
    zone = ZoneInfo(timezone)
    there, today = moment.astimezone(zone), now.astimezone(zone).date()
    days = (there.date() - today).days
    day = "" if not days else "%a " if 0 < days < 7 else "%Y-%m-%d "
    is_near = abs((moment - now).total_seconds()) < _NEAR_SECONDS
    return f"{there:{day}{'%H:%M:%S' if is_near else '%H:%M'}} {timezone}"
