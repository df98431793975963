"""The time zone of a country, by its code or its English name.

The zones of a country are those of `zone.tab` in the tz database. Of several zones,
`countries.toml` names the one in which most people live. Pure.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from typing import Any

_APOSTROPHES = re.compile(r"['’.]")
_SEPARATORS = re.compile(r"[^0-9a-z]+")


def zone_of_country(text: str) -> str | None:
    """Return the time zone of a country, given in a short text; None if it is no country.

    These are all right: `DE`, `deu`, `Germany`, `Federal Republic of Germany`, `Côte d'Ivoire`.
    """
    return _zones().get(_key(text))


def _key(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).casefold().replace("&", " and ")
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    words = _SEPARATORS.sub(" ", _APOSTROPHES.sub("", plain)).split()
    return " ".join(words[1:] if words[:1] == ["the"] else words)


@cache
def _zones() -> dict[str, str]:
    table = _table()
    zone_of = dict(listed_zones()) | table["zones"]
    return {
        _key(name): zone_of[code]
        for code, names in table["names"].items()
        if code in zone_of
        for name in (code, *names)
    }


def _table() -> Any:
    return tomllib.loads(_text("mailsluice.core", "countries.toml"))


def listed_zones() -> list[tuple[str, str]]:
    """The zones that the tz database lists for each country: country code and zone."""
    rows = _text("tzdata.zoneinfo", "zone.tab").splitlines()
    fields = (row.split("\t") for row in rows if row and not row.startswith("#"))
    return [(code, zone) for code, _, zone, *_ in fields]


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
