"""Dates in imported suppression lists: read if they are certain, never misread."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.operations.suppression.dates import EARLIEST, DateReader

LATEST = datetime(2026, 11, 25, tzinfo=UTC)


def read(*texts: str) -> list[str]:
    """The moments of a list's dates in ISO 8601, empty where they are not read."""
    column = pd.Series(texts, dtype="str", index=range(7, 7 + len(texts)))
    seconds = DateReader(LATEST.timestamp(), lambda: [column]).read(column)
    assert seconds.index.equals(column.index)
    return [
        "" if pd.isna(moment) else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S}"
        for moment in seconds
    ]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        *((f"17000000{'0' * more}", "2023-11-14T22:13:20") for more in (2, 5, 8, 11)),  # s to ns
        ("1700000000.5", "2023-11-14T22:13:20"),
        ("1.7e+12", "2023-11-14T22:13:20"),  # a floating point column of milliseconds
        ("2026-03-04", "2026-03-04T00:00:00"),
        ("2026-03-04T10:00:00+0100", "2026-03-04T09:00:00"),
        ("2026-03-04 10:00:00.123456+01", "2026-03-04T09:00:00"),  # PostgreSQL
        ("2026/3/4 5:06 PM", "2026-03-04T17:06:00"),
        ("20260304", "2026-03-04T00:00:00"),  # ISO 8601, basic format
        ("20260304T101112Z", "2026-03-04T10:11:12"),
        ("20260304101112", "2026-03-04T10:11:12"),
        ("Wed, 04 Mar 2026 10:00:00 -0500 (EST)", "2026-03-04T15:00:00"),  # RFC 5322
        ("Thu, 13 Oct 2011 18:02:00 UTC", "2011-10-13T18:02:00"),  # Mailgun
        ("Mar 4, 2026 10:11 am", "2026-03-04T10:11:00"),
        ("4-Mar-2026", "2026-03-04T00:00:00"),  # Oracle
        ("Wed Mar  4 10:11:12 2026", "2026-03-04T10:11:12"),
        ("03.04.2026", "2026-04-03T00:00:00"),  # dots: day first
        ("3.4.2026, 10:11", "2026-04-03T10:11:00"),
        ("24/02/2026", "2026-02-24T00:00:00"),
        ("24-02-2026 10:11:12", "2026-02-24T10:11:12"),  # Brevo
        ("02/24/2026 1:00 AM", "2026-02-24T01:00:00"),
    ],
)
def test_a_date_that_means_one_day_is_read(text: str, moment: str) -> None:
    assert read(text) == [moment]


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "now", "today", "12:30", "may", "10pm", "Nov 24", "Nov 2026", "2026-11"),
        *("9999-12-31", "99991231", "0001-01-01T00:00:00", "1000-01-01", "0000-00-00"),  # sentinels
        *("1970-01-01", "1989-12-31", "2026-11-26", "2099-01-01"),  # out of range
        *(
            "0",
            "1",
            "-1",
            "2026",
            "45678",
            "45678.5",
            "12345678901",
            "-1700000000",
        ),  # Excel, numbers
        *("1e300", "1e+300", "1.7E+12", "inf", "-inf", "nan", "NaN", "1_700_000_000", "0x65"),
        *("9" * 400, "1" * 19 + "e+99", "+1700000000", "١٧٠٠٠٠٠٠٠٠"),
        *(
            "2026-13-04",
            "2026-02-30",
            "31 Feb 2026",
            "31.04.2026",
            "13/13/2026",
            "2026-03-04 25:00",
        ),
        *("03/04/2026", "03-04-2026", "3.4.26", "03/04/26", "24 Nov 26"),  # ambiguous
        *("2026-03-04 10:00 +99:99", "2026-03-04 10:00 PST", "4 Mai 2026", "2026Q1"),
        *("2026-03-04\n", "2026-03-04; x", "x" * 100_000, "2026-03-04\0"),
    ],
)
def test_any_other_date_is_not_read(text: str) -> None:
    assert read(text, "2026-03-04") == ["", "2026-03-04T00:00:00"]


@pytest.mark.parametrize(
    ("texts", "moments"),
    [
        (["03/04/2026", "13/04/2026"], ["2026-04-03T00:00:00", "2026-04-13T00:00:00"]),
        (["03/04/2026", "04-13-2026"], ["2026-03-04T00:00:00", "2026-04-13T00:00:00"]),
        (["03/04/2026", "04/13/2026", "13/04/2026"], ["", *["2026-04-13T00:00:00"] * 2]),  # both
        (["03/04/2026", "13/13/2026"], ["", ""]),  # no day shows nothing
        (["03/04/2026", "13.04.2026"], ["", "2026-04-13T00:00:00"]),  # dots say nothing of slashes
    ],
)
def test_the_list_shows_the_order_of_day_and_month(texts: list[str], moments: list[str]) -> None:
    assert read(*texts) == moments


def test_a_list_is_read_again_once_and_only_if_the_order_matters() -> None:
    readings = []

    def all_texts() -> Iterator[pd.Series[str]]:
        readings.append(1)
        yield pd.Series(["04/13/2026"], dtype="str")

    reader = DateReader(LATEST.timestamp(), all_texts)
    reader.read(pd.Series(["2026-03-04", "13/04/2026", "4.3.2026"], dtype="str"))
    assert readings == []
    for _ in range(2):
        reader.read(pd.Series(["03/04/2026"], dtype="str"))
    assert readings == [1]


@given(st.lists(st.text(max_size=12) | st.from_regex("[0-9e+./: TZ-]{1,20}", fullmatch=True)))
def test_no_text_fails_or_leaves_the_range(texts: list[str]) -> None:
    column = pd.Series(texts, dtype="str")
    seconds = DateReader(LATEST.timestamp(), lambda: [column]).read(column).dropna()
    assert seconds.between(EARLIEST, LATEST.timestamp()).all()


@given(st.dates(date(1990, 1, 1), LATEST.date()))
def test_every_common_form_of_a_date_is_the_same_date(moment: date) -> None:
    day = f"{moment:%Y-%m-%d}T00:00:00"
    forms = ["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d %b %Y", "%B %d, %Y", "%a, %d %b %Y 00:00:00 GMT"]
    assert read(*(moment.strftime(form) for form in forms)) == [day] * len(forms)
    assert read(moment.strftime("%d/%m/%Y"), "13/01/2026")[0] == day
    assert read(moment.strftime("%m/%d/%Y"), "01/13/2026")[0] in (day, "")
