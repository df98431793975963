"""Estimated ends: sending windows, limits, warm-ups, and the condition that binds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign.estimate import HORIZON, Load
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.limits import Bound, Limit
from tests.unit.test_plan import DAY, HOUR, NOON, OFFICE

HOURLY = Bound(Limit(100, 3_600.0), "its own")


def load(*releases: tuple[datetime, int], window: SendingWindow = OFFICE, **fields: Any) -> Load:
    return Load(NOON, releases, fields.get("bounds", [HOURLY]), window)


@pytest.mark.parametrize(
    ("releases", "ends_at"),
    [
        ([(NOON, 0)], NOON),
        ([(NOON, 100)], NOON + HOUR),
        ([(NOON, 600)], NOON + 6 * HOUR),  # until six o'clock, exactly
        ([(NOON, 601)], NOON + 21 * HOUR + timedelta(seconds=36)),  # one more: tomorrow
        ([(NOON, 600 + 4 * 900 + 1)], NOON + 7 * DAY - 3 * HOUR + timedelta(seconds=36)),
        ([(NOON, 100), (NOON + 3 * HOUR, 100)], NOON + 4 * HOUR),
        ([(NOON, 600), (NOON + 3 * HOUR, 100)], NOON + 22 * HOUR),
        ([(NOON, 0), (NOON + 5 * DAY, 1)], NOON + 7 * DAY - 3 * HOUR + timedelta(seconds=36)),
    ],
)
def test_the_estimate_skips_closed_windows(
    releases: list[tuple[datetime, int]], ends_at: datetime
) -> None:
    assert load(*releases).ends_at() == ends_at


def test_the_estimate_stops_at_the_horizon() -> None:
    assert load((NOON, 10**12)).ends_at() is None
    assert load((NOON, 24 * 365 * 100)).ends_at() is None  # a year of hours, of which few open


@pytest.mark.parametrize(
    ("releases", "window", "binding"),
    [
        ([(NOON, 1_000)], SendingWindow(), "100 an hour (its own)"),
        ([(NOON, 10), (NOON + DAY, 10)], SendingWindow(), "warm-up"),
        ([(NOON + 6 * HOUR, 10)], OFFICE, "warm-up"),
        ([(NOON, 700)], OFFICE, "100 an hour (its own)"),  # all of it would go today
    ],
)
def test_the_condition_that_delays_the_end_most_binds(
    releases: list[tuple[datetime, int]], window: SendingWindow, binding: str
) -> None:
    assert load(*releases, window=window).binding() == binding


def test_a_closed_window_binds() -> None:
    evening = NOON + 8 * HOUR
    assert Load(evening, [(evening, 10)], [HOURLY], OFFICE).binding() == "sending window"


@given(st.integers(1, 800), st.integers(1, 800), st.integers(0, 100))
def test_more_mail_or_a_lower_limit_never_ends_earlier(
    count: int, per_hour: int, more: int
) -> None:
    def ends(number: int, limit: int) -> datetime:
        bounds = [Bound(Limit(limit, 3_600.0), "its own")]
        return load((NOON, number), bounds=bounds).ends_at() or NOON + HORIZON

    assert NOON < ends(count, per_hour) <= ends(count + more, per_hour)
    assert ends(count, per_hour + more) <= ends(count, per_hour)
