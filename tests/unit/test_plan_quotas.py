"""Plans with quotas by the calendar: what fits until the reset, and when the campaign ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign.estimate import Load
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.limits import Bound, CalendarLimit, Limit, QuotaUse, Unit
from tests.unit.test_plan import connection, planned, two

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FEBRUARY, MARCH = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
FAST = [Bound(Limit(1_000, 3_600.0), "its own")]
OFFICE = SendingWindow(days="Mon-Fri", start="09:00", end="18:00")


def monthly(count: int, used: int) -> QuotaUse:
    return QuotaUse(CalendarLimit(count, Unit.MONTH, "UTC", 1), used, FEBRUARY.timestamp())


def daily(count: int, used: int = 0) -> QuotaUse:
    ends_at = (NOON + 12 * HOUR).timestamp()
    return QuotaUse(CalendarLimit(count, Unit.DAY, "UTC", 0), used, ends_at)


@pytest.mark.parametrize(
    ("count", "quotas", "window", "ends_at"),
    [
        (2_000, [monthly(5_000, 3_000)], SendingWindow(), NOON + 2 * HOUR),  # all of it fits
        (3_000, [monthly(5_000, 3_000)], SendingWindow(), FEBRUARY + HOUR),
        (8_000, [monthly(5_000, 3_000)], SendingWindow(), MARCH + HOUR),
        (100, [monthly(5_000, 6_000)], SendingWindow(), FEBRUARY + HOUR / 10),  # lowered since
        (500, [monthly(5_000, 5_000)], OFFICE, FEBRUARY + 33.5 * HOUR),  # a Sunday: on Monday
        (1_200, [daily(500, 500)], SendingWindow(), NOON + 60 * HOUR + 0.2 * HOUR),
        (1_200, [daily(500), monthly(5_000, 4_100)], SendingWindow(), FEBRUARY + 0.3 * HOUR),
    ],
)
def test_the_estimate_waits_for_the_resets_of_quotas(
    count: int, quotas: list[QuotaUse], window: SendingWindow, ends_at: datetime
) -> None:
    end = Load(NOON, [(NOON, count)], FAST, window, quotas=quotas).ends_at()
    assert end is not None
    assert abs(end - ends_at) < timedelta(seconds=1)


def test_a_quota_that_delays_the_end_most_binds() -> None:
    quotas = [daily(50_000), monthly(5_000, 3_000)]
    load = Load(NOON, [(NOON, 3_000)], FAST, SendingWindow(), quotas=quotas)
    assert load.binding() == "quota of 5,000 a month"
    load = Load(NOON, [(NOON, 2_000)], FAST, SendingWindow(), quotas=quotas)
    assert load.binding() == "1,000 an hour (its own)"


@given(st.integers(1, 3_000), st.integers(1, 900), st.integers(1, 4_000), st.integers(0, 5_000))
def test_a_smaller_quota_never_ends_earlier(
    count: int, per_day: int, per_month: int, used: int
) -> None:
    def end(*quotas: QuotaUse) -> datetime:
        found = Load(NOON, [(NOON, count)], FAST, SendingWindow(), quotas=quotas).ends_at()
        return found or datetime.max.replace(tzinfo=UTC)

    quotas = [daily(per_day), monthly(per_month, used)]
    assert end() <= end(quotas[0]) <= end(*quotas)
    assert end(*quotas) <= end(daily(per_day), monthly(per_month, used + 1))


def test_a_plan_says_how_much_of_a_quota_is_used_and_what_fits() -> None:
    found = planned(
        two(), [connection("a"), connection("b")], quotas={"a": [monthly(5_000, 1_000)]}
    )
    (said,) = found.quotas
    assert said == (
        "a: 1,000 of 5,000 a month are used; 4,000 of its 7,000 recipients fit until"
        " 2026-02-01 00:00 UTC"
    )
    assert found.connections[0].binding == "quota of 5,000 a month"
    assert "## Quotas" in found.markdown()
    assert any("a takes 26.5 days" in warning for warning in found.warnings)
    assert not planned(two(), [connection("a"), connection("b")]).quotas


def test_a_finish_time_that_a_quota_prevents_names_the_quota() -> None:
    document = two(finish_by="2026-01-07T12:00+00:00")
    found = planned(
        document, [connection("a"), connection("b")], quotas={"a": [monthly(5_000, 1_000)]}
    )
    assert any("its quota of 5,000 a month is too small" in line for line in found.warnings)
