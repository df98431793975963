"""Time zones, which documents give by their IANA names."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from datetime import timezone as fixed_timezone
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator

_NEAR_SECONDS = 120.0
_FIXED = re.compile(r"UTC([+-])(\d\d):(\d\d)", re.ASCII)
_WEST, _EAST = -12 * 60, 14 * 60  # the offsets in use


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


def fixed_zone_name(minutes: int) -> str | None:
    """Name a zone so many minutes east of Greenwich, without summer time; None: no zone is."""
    if minutes % 15 or not _WEST <= minutes <= _EAST:
        return None
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "UTC"


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name, or of a `fixed_zone_name`."""
    if fixed := _FIXED.fullmatch(name):
        offset = timedelta(hours=int(fixed[2]), minutes=int(fixed[3]))
        return fixed_timezone(offset if fixed[1] == "+" else -offset, name)
    return ZoneInfo(name)


def start_of_day(day: date, timezone: str) -> datetime:
    """Return the moment (UTC) at which a calendar day begins in a time zone."""
    return datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)


def shown(moment: datetime, now: datetime, timezone: str = "UTC") -> str:
    """Return an aware moment as a clock in a time zone shows it.

    Seconds are shown within two minutes of `now`; the day is shown unless it is today.
    """
    local, today = moment.astimezone(zone(timezone)), now.astimezone(zone(timezone)).date()
    days = (local.date() - today).days
    day = "" if not days else "%a " if 0 < days < 7 else "%Y-%m-%d "
    is_near = abs((moment - now).total_seconds()) < _NEAR_SECONDS
    return f"{local:{day}{'%H:%M:%S' if is_near else '%H:%M'}} {timezone}"
