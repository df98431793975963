"""The time zones that values of lists mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core import countries
from mailsluice.core.countries import listed_zones, zone_of_country
from mailsluice.core.timezones import fixed_zone_name, is_known, zone
from mailsluice.core.zone_names import zone_named

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
        ("america/new york", "America/New_York"),
        (" America/New_York ", "America/New_York"),
        ("Asia/Calcutta", "Asia/Calcutta"),  # outdated, and still in the database
        ("Etc/GMT+2", "Etc/GMT+2"),  # POSIX: west of Greenwich
        ("Berlin", "Europe/Berlin"),
        ("Istanbul", "Europe/Istanbul"),  # not the outdated Asia/Istanbul
        ("buenos aires", "America/Argentina/Buenos_Aires"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("us mountain standard time", "America/Phoenix"),
        ("(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("(UTC+01:00) Amsterdam, Berlin, Bern", "UTC+01:00"),  # nothing but the offset is known
        ("+02:00", "UTC+02:00"),
        ("+0530", "UTC+05:30"),
        ("-3", "UTC-03:00"),
        ("\u22123", "UTC-03:00"),  # a minus sign
        ("GMT+2", "UTC+02:00"),  # as people write it: east of Greenwich
        ("UTC +05:45", "UTC+05:45"),
        ("UTC+14", "UTC+14:00"),
        ("GMT", "GMT"),
        ("Z", "UTC"),
        ("+00:00", "UTC"),
    ],
)
def test_every_usual_way_to_write_a_zone_is_understood(text: str, meant: str) -> None:
    assert zone_named(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "PST",  # also the Philippines'
        "Germany",
        "+15:00",
        "-12:30",
        "+2:75",
        "+2:20",  # no place has it
        "++2",
        "Eastern",
        "localtime",  # of the machine
        "Factory",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",  # counts leap seconds
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",  # a folder of the database
        "Europe/Berlin\0",
        "+٢",  # digits of another script
    ],
)
def test_what_is_no_zone_is_unknown(text: str) -> None:
    assert zone_named(text) is None


@given(st.text(max_size=100))
def test_any_text_is_a_zone_of_the_database_an_offset_or_unknown(text: str) -> None:
    for meant in (zone_named(text), zone_of_country(text)):
        assert meant is None or zone(meant).utcoffset(NOON) is not None


@given(st.integers(-12 * 4, 14 * 4))
def test_an_offset_has_a_name_that_means_it(quarters: int) -> None:
    minutes = 15 * quarters
    name = fixed_zone_name(minutes)
    assert name
    assert zone_named(name) == name
    assert zone(name).utcoffset(NOON) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("DE", "Europe/Berlin"),
        ("deu", "Europe/Berlin"),
        ("Federal Republic of Germany", "Europe/Berlin"),
        ("the Netherlands", "Europe/Amsterdam"),
        ("UK", "Europe/London"),
        ("U.S.A.", "America/New_York"),
        ("Côte d’Ivoire", "Africa/Abidjan"),
        ("COTE D'IVOIRE", "Africa/Abidjan"),
        ("Türkiye", "Europe/Istanbul"),
        ("Bosnia and Herzegovina", "Europe/Sarajevo"),
        ("Russia", "Europe/Moscow"),
        ("Brazil", "America/Sao_Paulo"),
        ("Australia", "Australia/Sydney"),
        ("Kosovo", "Europe/Belgrade"),
    ],
)
def test_a_country_is_understood_by_code_and_by_name(text: str, meant: str) -> None:
    assert zone_of_country(text) == meant


@pytest.mark.parametrize("text", ["", "XX", "Europe", "Austrialia", "D", "HM"])  # HM: uninhabited
def test_what_is_no_country_is_unknown(text: str) -> None:
    assert zone_of_country(text) is None


def test_every_country_has_one_zone_which_is_one_of_its_own() -> None:
    names = countries._table()["names"]
    chosen = countries._table()["zones"]
    own: dict[str, set[str]] = {}
    for code, zone_name in listed_zones():
        own.setdefault(code, set()).add(zone_name)
    rows = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text().splitlines()
    listed = {row.split("\t")[0] for row in rows if row[:1].isalpha()}
    assert listed <= set(names)
    assert {code for code, zones in own.items() if len(zones) > 1} <= set(chosen)
    assert all(chosen[code] in zones for code, zones in own.items() if code in chosen)
    assert all(is_known(zone_name) for zone_name in chosen.values())


def test_no_name_means_two_countries() -> None:
    meant: dict[str, str] = {}
    for code, names in countries._table()["names"].items():
        for name in {countries._key(name) for name in (code, *names)}:
            assert meant.setdefault(name, code) == code
    assert "" not in meant
