"""Time zones, which documents give by their IANA names."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator

_NEAR_SECONDS = 120.0


def is_known(name: str) -> bool:
    """Whether the time zone database has this name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; an absolute path; a folder of the database
        return False
    return True


def _known(name: str) -> str:
    if not is_known(name):
        by_lower = {known.lower(): known for known in available_timezones()}
        close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.4)
        hint = by_lower[close[0]] if close else "Europe/Berlin"
        raise ValueError(f"unknown time zone {name!r}: use an IANA name, such as {hint} or UTC")
    return name


Timezone = Annotated[str, AfterValidator(_known)]
"""The IANA name of a time zone, checked."""


def start_of_day(day: date, timezone: str) -> datetime:
    """Return the moment (UTC) at which a calendar day begins in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)


def shown(moment: datetime, now: datetime, timezone: str = "UTC") -> str:
    """Return an aware moment as a clock in a time zone shows it.

    Seconds are shown within two minutes of `now`; the day is shown unless it is today.
    """
    zone = ZoneInfo(timezone)
    local, today = moment.astimezone(zone), now.astimezone(zone).date()
    days = (local.date() - today).days
    day = "" if not days else "%a " if 0 < days < 7 else "%Y-%m-%d "
    is_near = abs((moment - now).total_seconds()) < _NEAR_SECONDS
    return f"{local:{day}{'%H:%M:%S' if is_near else '%H:%M'}} {timezone}"
