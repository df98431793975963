"""Days and months of a provider's calendar, and the replies that count in them."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.limits import (
    CalendarLimit,
    Hold,
    Limit,
    OpenStarts,
    Report,
    Rules,
    Unit,
    Usage,
    calendar_limits,
    exchange,
    give_out,
    hold,
)
from mailsluice.limits.dated_replies import STEP_SECONDS, DatedReplies
from mailsluice.smtp.connection import Connection

HOUR, DAY = 3_600.0, 86_400.0
BERLIN, LORD_HOWE, KATHMANDU, APIA = (
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("unit", "begins", "timezone", "moment", "period"),
    [
        # a month, and one from one billing day to the next
        (Unit.MONTH, 1, "UTC", "2026-11-30T23:59Z", ("2026-11-01T00:00Z", "2026-12-01T00:00Z")),
        (Unit.MONTH, 15, "UTC", "2026-12-14T23:59Z", ("2026-11-15T00:00Z", "2026-12-15T00:00Z")),
        (Unit.MONTH, 28, "UTC", "2027-02-28T00:00Z", ("2027-02-28T00:00Z", "2027-03-28T00:00Z")),
        (Unit.MONTH, 1, "UTC", "2028-02-29T12:00Z", ("2028-02-01T00:00Z", "2028-03-01T00:00Z")),
        # months with a change of the clock, in the provider's zone
        (Unit.MONTH, 1, BERLIN, "2026-10-31T22:59Z", ("2026-09-30T22:00Z", "2026-10-31T23:00Z")),
        (Unit.MONTH, 1, KATHMANDU, "2026-11-30T18:15Z", ("2026-11-30T18:15Z", "2026-12-31T18:15Z")),
        # days that begin at an hour, of 23 and of 25 hours
        (Unit.DAY, 8, BERLIN, "2026-11-26T06:59Z", ("2026-11-25T07:00Z", "2026-11-26T07:00Z")),
        (Unit.DAY, 0, BERLIN, "2027-03-28T12:00Z", ("2027-03-27T23:00Z", "2027-03-28T22:00Z")),
        (Unit.DAY, 0, BERLIN, "2026-10-25T12:00Z", ("2026-10-24T22:00Z", "2026-10-25T23:00Z")),
        # an hour that is left out, and one that comes twice
        (Unit.DAY, 2, BERLIN, "2027-03-28T01:00Z", ("2027-03-28T01:00Z", "2027-03-29T00:00Z")),
        (Unit.DAY, 2, BERLIN, "2026-10-25T01:30Z", ("2026-10-25T00:00Z", "2026-10-26T01:00Z")),
        (Unit.DAY, 2, LORD_HOWE, "2026-10-03T16:00Z", ("2026-10-03T15:30Z", "2026-10-04T15:00Z")),
    ],
)
def test_a_period_is_that_of_the_providers_calendar(
    unit: Unit, begins: int, timezone: str, moment: str, period: tuple[str, str]
) -> None:
    found = CalendarLimit(1, unit, timezone, begins).period(at(moment))
    shown = [datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%MZ") for end in found]
    assert tuple(shown) == period


units = st.one_of(
    st.tuples(st.just(Unit.DAY), st.integers(0, 23)),
    st.tuples(st.just(Unit.MONTH), st.integers(1, 28)),
)
zones = st.sampled_from(sorted(available_timezones()))


@given(units, zones, st.floats(at("2025-01-01T00:00Z"), at("2035-01-01T00:00Z")))
def test_periods_follow_each_other_without_a_gap_and_begin_at_whole_steps(
    unit: tuple[Unit, int], zone: str, moment: float
) -> None:
    limit = CalendarLimit(1, unit[0], zone, unit[1])
    start, end = limit.period(moment)
    assert start <= moment < end
    assert limit.period(start) == limit.period(end - 1) == (start, end)
    assert limit.period(end)[0] == end
    assert start % STEP_SECONDS == end % STEP_SECONDS == 0
    local = datetime.fromtimestamp(start, ZoneInfo(zone))
    assert local.day == unit[1] if unit[0] is Unit.MONTH else end - start <= 26 * HOUR


def test_only_quotas_that_are_set_count() -> None:
    none = Connection("red", "localhost", 25, calendar_timezone=BERLIN)
    assert calendar_limits(none) == ()
    both = Connection(
        "red", "localhost", 25, per_calendar_day=5, day_begins_at=8, per_month=90, month_begins_on=3
    )
    assert calendar_limits(both) == (
        CalendarLimit(5, Unit.DAY, "UTC", 8),
        CalendarLimit(90, Unit.MONTH, "UTC", 3),
    )
    assert [str(limit) for limit in calendar_limits(both)] == ["5 a calendar day", "90 a month"]


moments = st.lists(st.integers(0, 40 * 96).map(lambda step: step * 900 + step % 900), min_size=1)


@given(st.lists(moments, min_size=1, max_size=5), st.integers(0, 4_000), st.integers(0, 4_000))
def test_dated_replies_count_exactly_between_whole_steps(
    reports: list[list[int]], first: int, last: int
) -> None:
    dated = DatedReplies()
    for report in reports:
        dated.add(np.array(report, np.float64))
    dated = DatedReplies.from_json(orjson.loads(orjson.dumps(dated.to_json())))
    start, end = first * 900.0, max(first, last) * 900.0
    assert dated.within(start, end) == sum(start <= one < end for one in chain(*reports))


def test_dated_replies_keep_a_month_of_quarters_whatever_the_clock_showed_between() -> None:
    dated = DatedReplies()
    for step in range(31 * 96):
        dated.add(np.array([step * 900.0]))
    dated.add(np.array([1e9]))  # the clock is set forward by years, and back
    assert dated.within(0.0, 31 * DAY) == 31 * 96
    for step in range(40 * 96):
        dated.add(np.array([step * 900.0]))
    assert len(dated) <= 32 * 96
    assert len(orjson.dumps(dated.to_json())) < 20_000


@given(st.lists(st.integers(0, 99), min_size=1, max_size=200), st.integers(0, 150))
def test_a_corrected_period_has_the_given_number_and_others_are_as_before(
    steps: list[int], total: int
) -> None:
    dated = DatedReplies()
    dated.add(np.array([step * 900.0 for step in steps]))
    before, after = dated.within(0, 20 * 900), dated.within(60 * 900, 100 * 900)
    dated.correct(20 * 900, 60 * 900, total)
    assert dated.within(20 * 900, 60 * 900) == total
    assert (dated.within(0, 20 * 900), dated.within(60 * 900, 100 * 900)) == (before, after)


NOVEMBER, DECEMBER = at("2026-11-01T00:00Z"), at("2026-12-01T00:00Z")
THREE = Rules(calendar=(CalendarLimit(3, Unit.MONTH, "UTC", 1),))


def test_a_used_up_month_waits_for_the_next_one_and_says_so() -> None:
    usage, now = Usage(), NOVEMBER + DAY
    starts, next_at = give_out([(usage, THREE)], now, now + 0.4, 99)
    assert (len(starts), next_at) == (3, math.inf)
    usage.report("a", 0, now, starts, THREE)
    assert give_out([(usage, THREE)], now, now + 0.4, 99) == ([], DECEMBER)
    assert hold({"red": (usage, THREE)}, now) == Hold("red", THREE.calendar[0], DECEMBER)
    assert len(give_out([(usage, THREE)], DECEMBER, DECEMBER + 0.4, 99)[0]) == 3


def test_starts_for_the_next_month_are_given_out_just_before_it() -> None:
    usage, now = Usage(), DECEMBER - 0.3
    usage.report("a", 0, now, [now] * 3, THREE)
    starts, _ = give_out([(usage, THREE)], now, now + 0.4, 2)
    assert starts == [DECEMBER, DECEMBER]


def test_a_full_quota_waits_for_starts_that_may_be_returned() -> None:
    """Otherwise a sender would sleep until the next month, and the rest of the quota be lost."""
    usage, now = Usage(open={"other": OpenStarts(2, NOVEMBER + DAY)}), NOVEMBER + 9.0
    usage.report("a", 0, now, [now], THREE)
    assert give_out([(usage, THREE)], now, now + 0.4, 9) == ([], math.inf)
    delay = hold({"red": (usage, THREE)}, now)
    assert delay is not None
    assert delay.until == math.inf
    usage.report("other", 0, now, [], THREE)
    assert len(give_out([(usage, THREE)], now, now + 0.4, 9)[0]) == 2


def test_a_message_on_its_way_at_midnight_counts_in_both_months() -> None:
    usage = Usage(open={"a": OpenStarts(1, DECEMBER + 30)})
    assert len(give_out([(usage, THREE)], DECEMBER - 9, DECEMBER - 8, 9)[0]) == 2
    assert len(give_out([(usage, THREE)], DECEMBER, DECEMBER + 0.4, 9)[0]) == 2


def test_a_changed_time_zone_and_billing_day_count_what_was_sent_since_then() -> None:
    usage, november = Usage(), THREE
    for day, number in ((1, 5), (3, 7), (20, 11)):
        usage.report("a", 0, 0.0, [NOVEMBER + day * DAY - 2 * HOUR] * number, november)
    now = at("2026-11-25T12:00Z")
    for zone, begins, used in [
        ("UTC", 1, 23),
        ("UTC", 3, 18),
        ("UTC", 20, 11),
        ("UTC", 21, 0),
        (APIA, 2, 23),  # 13 hours ahead: 1 November, 22:00 UTC, is the second there
        (BERLIN, 2, 18),
    ]:
        limit = CalendarLimit(99, Unit.MONTH, zone, begins)
        assert usage.dated.within(*limit.period(now)) == used


def test_the_lower_of_a_daily_and_a_monthly_quota_binds() -> None:
    day, month = CalendarLimit(2, Unit.DAY, "UTC", 6), CalendarLimit(3, Unit.MONTH, "UTC", 1)
    rules, usage, now = Rules(calendar=(day, month)), Usage(), at("2026-11-10T12:00Z")
    starts, _ = give_out([(usage, rules)], now, now, 9)
    usage.report("a", 0, now, starts, rules)
    assert give_out([(usage, rules)], now, now, 9) == ([], at("2026-11-11T06:00Z"))
    now += DAY
    starts, _ = give_out([(usage, rules)], now, now, 9)
    usage.report("a", 0, now, starts, rules)
    assert (len(starts), give_out([(usage, rules)], now, now, 9)) == (1, ([], DECEMBER))
    delay = hold({"red": (usage, rules)}, now)
    assert delay is not None
    assert (delay.rule, delay.until) == (month, DECEMBER)


def test_a_connection_without_quotas_stores_what_it_stored_before() -> None:
    usage, rules = Usage(), Rules((Limit(10, 60.0),))
    exchange([(usage, rules)], Report("a", 0, [NOVEMBER]), NOVEMBER + 1, NOVEMBER + 1, 1)
    assert "dated" not in usage.to_json()


@given(
    st.lists(st.tuples(st.floats(0, 3 * DAY), st.integers(1, 9)), min_size=1, max_size=40),
    st.integers(1, 8),
    st.integers(1, 20),
    st.integers(0, 23),
)
def test_no_day_and_no_month_has_more_than_its_quota(
    asks: list[tuple[float, int]], daily: int, monthly: int, hour: int
) -> None:
    day = CalendarLimit(daily, Unit.DAY, BERLIN, hour)
    month = CalendarLimit(monthly, Unit.MONTH, BERLIN, 20)
    rules, usage, now = Rules(calendar=(day, month)), Usage(), at("2026-10-22T12:00Z")
    arrivals = []
    for pause, most in asks:
        now += pause
        starts, _ = exchange([(usage, rules)], Report("a", 0, ()), now, now + 0.4, most)
        arrivals += starts
        exchange([(usage, rules)], Report("a", 0, starts), now + 0.5, now + 0.5, 0)
    for limit in (day, month):
        together = Counter(limit.period(moment) for moment in arrivals)
        assert max(together.values()) <= limit.count
