"""The columns that tell the recipients' time zones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mailsluice.audience.time_zones import TimeZoneReader, TimeZones
from mailsluice.core.errors import AudienceError

HUGE = "Europe/Berlin" * 100_000


def time_zones(
    zones: list[str] | None = None,
    countries: list[str] | None = None,
    *,
    chunk: int = 100,
    accepted: list[bool] | None = None,
) -> TimeZones:
    """Read the values of rows, in chunks of so many."""
    reader = TimeZoneReader("zone" if zones else None, "land" if countries else None)
    number = len(zones or countries or [])
    frame = pd.DataFrame(
        {"zone": zones or [""] * number, "land": countries or [""] * number}, dtype="str"
    )
    for start in range(0, number, chunk):
        part = frame[start : start + chunk].reset_index(drop=True)
        reader.add(part, np.ones(len(part), np.bool))
    return reader.finish(np.array(accepted or [True] * number))


def names(read: TimeZones) -> list[str]:
    """The zone of each recipient."""
    return [[*read.counts][number - 1] for number in read.numbers]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_zones_are_numbered_by_their_recipients(chunk: int) -> None:
    values = ["Asia/Tokyo", "", "europe/berlin", "EUROPE/BERLIN", "soon", "Europe/Berlin", HUGE]
    read = time_zones(values, chunk=chunk)
    berlin = "Europe/Berlin"
    assert names(read) == ["Asia/Tokyo", "", berlin, berlin, "", berlin, ""]
    assert read.counts == {"": 3, berlin: 3, "Asia/Tokyo": 1}
    assert (read.empty, read.unreadable) == (1, 2)


def test_a_known_zone_comes_before_the_country() -> None:
    read = time_zones(
        ["Asia/Tokyo", "", "soon", "", "soon", ""], ["DE", "DE", "USA", "", "", "Atlantis"]
    )
    assert names(read) == ["Asia/Tokyo", "Europe/Berlin", "America/New_York", "", "", ""]
    assert (read.empty, read.unreadable) == (1, 2)


def test_rejected_rows_do_not_count() -> None:
    read = time_zones(["Asia/Tokyo", "", "Europe/Berlin"], accepted=[True, False, False])
    assert (read.counts, read.empty, read.numbers.tolist()) == ({"Asia/Tokyo": 1}, 0, [1])


def test_rows_without_a_known_zone_are_told() -> None:
    assert time_zones(["Asia/Tokyo"]).notes() == []
    (note,) = time_zones(["Asia/Tokyo", "", "secret@example.com"]).notes()
    assert note == (
        "2 rows without a known time zone: the sending window's own one applies (1 without a value,"
        " 1 with a value that is no time zone or country)"
    )


def test_any_number_of_distinct_values_is_read() -> None:
    """As many as there are rows, where somebody has named a wrong column by mistake."""
    read = time_zones(["Asia/Tokyo", *(f"x{i}" for i in range(30_000))], chunk=10_000)
    assert read.unreadable == 30_000


@pytest.mark.parametrize("values", [["", ""], ["Munich", "2"]])
def test_a_column_without_any_time_zone_is_refused(values: list[str]) -> None:
    with pytest.raises(AudienceError, match="no recipient has a known time zone by zone_column"):
        time_zones(values)
    with pytest.raises(AudienceError, match="by zone_column 'zone' and country_column 'land'"):
        time_zones(values, values)


def test_a_missing_column_is_refused_with_a_suggestion() -> None:
    reader = TimeZoneReader("timezone", None)
    reader.add(pd.DataFrame({"time_zone": ["UTC"]}, dtype="str"), np.ones(1, np.bool))
    with pytest.raises(AudienceError, match="no column 'timezone' that tells time zones") as caught:
        reader.finish(np.ones(1, np.bool))
    assert "did you mean 'time_zone'?" in str(caught.value)
    assert "Correct zone_column" in str(caught.value)


def test_of_several_sources_some_may_lack_the_column() -> None:
    reader = TimeZoneReader("zone", None)
    for name in ("zone", "name"):
        reader.add(pd.DataFrame({name: ["UTC"]}, dtype="str"), np.ones(1, np.bool))
    assert reader.finish(np.ones(2, np.bool)).counts == {"": 1, "UTC": 1}


def test_an_empty_audience_has_no_zones() -> None:
    read = TimeZoneReader("zone", None).finish(np.ones(0, np.bool))
    assert (read.counts, read.numbers.tolist(), read.notes()) == ({}, [], [])
