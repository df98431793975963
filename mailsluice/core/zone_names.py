"""The time zone that a value of a list means: a name of the tz database, of Windows, or an offset.

Lists come from many programs, so case, spaces and outdated names do not matter. Pure.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from zoneinfo import available_timezones

from mailsluice.core.countries import listed_zones
from mailsluice.core.timezones import fixed_zone_name

_NO_PLACE = frozenset({"Factory", "localtime"})  # names in the database that are no time zone
_OFFSET = re.compile(r"(?:utc|gmt)?_*([+\-\u2212])_*(\d{1,2})(?::?([0-5]\d))?", re.ASCII)
_PREFIXED = re.compile(r"\(([^()]*)\)_*(.+)")


def zone_named(text: str) -> str | None:
    """Return the time zone that a short text means; None if it means none.

    These are all right: `Europe/Berlin`, `america/new york`, `Asia/Calcutta`, `Berlin`,
    `W. Europe Standard Time`, `+02:00`, `UTC-0330`, `GMT+2` (east of Greenwich), `Z`.
    """
    key = _key(text)
    if prefixed := _PREFIXED.fullmatch(key):  # as Outlook shows it: (UTC+01:00) Berlin
        return _known().get(prefixed[2]) or _offset(prefixed[1])
    return _known().get(key) or _offset(key)


def _key(text: str) -> str:
    return "_".join(text.casefold().replace("_", " ").split())


def _offset(key: str) -> str | None:
    match = _OFFSET.fullmatch(key)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return fixed_zone_name(minutes if match[1] == "+" else -minutes)


@cache
def _known() -> dict[str, str]:
    """Zones by key. A full name comes before a Windows name, and that before a city."""
    table = resources.files("mailsluice.core").joinpath("windows_zones.toml")
    windows = tomllib.loads(table.read_text(encoding="utf-8"))
    return {
        **{_key(zone.rpartition("/")[2]): zone for _, zone in listed_zones()},
        **{_key(name): zone for name, zone in windows.items()},
        **{_key(name): name for name in available_timezones() - _NO_PLACE},
        "z": "UTC",
    }
