"""The plan of a sending window that is in each recipient's time zone: when the mail goes out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.campaign import SendingWindow
from mailsluice.campaign.estimate import Load
from mailsluice.campaign.zone_estimate import by_step
from mailsluice.limits import Bound, Limit
from mailsluice.operations.plan.zone_plan import zone_plan
from tests.thorough import examples
from tests.unit.test_zone_hours import OFFSETS, windows

MORNING = SendingWindow(days="Mon-Fri", start="09:00", end="12:00", timezone="Europe/Berlin")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)


def load(zones: dict[str, int], per_hour: int, window: SendingWindow = MORNING) -> Load:
    releases = [(MONDAY, sum(zones.values()))]
    return Load(MONDAY, releases, [Bound(Limit(per_hour, 3_600.0), "red")], window, zones)


def test_each_zone_has_its_own_morning() -> None:
    """9:00 in Tokyo is 0:00 in UTC, in Berlin 8:00, and in New York 14:00."""
    planned = load({"Asia/Tokyo": 100, "": 200, "America/New_York": 50}, 100)
    flows = planned.flows(planned.slowest.per_second).flows
    starts = [datetime.fromtimestamp(flow.since, UTC) - MONDAY for flow in flows]
    assert [(flow.zone, start / HOUR) for flow, start in zip(flows, starts, strict=True)] == [
        (0, 0),
        (1, 8),
        (2, 14),
    ]
    assert planned.ends_at() == MONDAY + 14.5 * HOUR
    assert planned.binding() == "sending window"


def test_what_does_not_fit_into_the_morning_waits_for_the_next_day() -> None:
    planned = load({"Asia/Tokyo": 350}, 100)
    assert planned.ends_at() == MONDAY + 24.5 * HOUR


def test_a_course_of_many_weeks_goes_on_at_the_pace_of_the_last_of_them() -> None:
    """15 hours a week, 100 an hour: 60,000 recipients take 40 weeks."""
    ends_at = load({"UTC": 60_000}, 100).ends_at()
    assert ends_at
    assert ends_at == pytest.approx(MONDAY + timedelta(weeks=40), abs=timedelta(days=4))
    assert load({"UTC": 10_000_000}, 100).ends_at() is None


@settings(max_examples=examples(), deadline=None)
@given(
    windows.map(lambda window: window.model_copy(update={"timezone": "Europe/Berlin"})),
    st.dictionaries(st.sampled_from(["", "Asia/Tokyo", *OFFSETS]), st.integers(1, 500), min_size=1),
    st.integers(10, 1_000),
)
def test_all_mail_flows_within_the_hours_of_its_zone_at_no_more_than_the_pace(
    window: SendingWindow, zones: dict[str, int], per_hour: int
) -> None:
    planned, names = load(zones, per_hour, window), [*zones]
    walked = planned.flows(per_hour / 3_600)
    assert sum(flow.messages for flow in walked.flows) + walked.left == pytest.approx(
        sum(zones.values())
    )
    before = MONDAY.timestamp()
    for flow in walked.flows:
        own = window.in_zone(names[flow.zone])
        middle = datetime.fromtimestamp((flow.since + flow.until) / 2, UTC)
        assert own.is_open(datetime.fromtimestamp(flow.since, UTC))
        assert own.is_open(middle)
        assert flow.since >= before
        assert flow.messages == pytest.approx(
            (flow.until - flow.since) * per_hour / 3_600, abs=0.01
        )
        before = flow.until
    hours = by_step(walked.flows, 3_600)
    assert sum(hours.values()) == pytest.approx(sum(flow.messages for flow in walked.flows))
    assert max(hours.values(), default=0) <= per_hour * 1.001


def test_one_zone_takes_as_long_as_a_window_in_it() -> None:
    plain = Load(MONDAY, [(MONDAY, 2_000)], [Bound(Limit(100, 3_600.0), "red")], MORNING)
    assert load({"": 2_000}, 100).ends_at() == plain.ends_at()


def test_the_plan_adds_up_the_connections() -> None:
    plan = zone_plan([load({"Asia/Tokyo": 100}, 100), load({"Asia/Tokyo": 50}, 100)], "UTC")
    assert plan
    (mail,) = plan.zones
    assert (mail.zone, mail.recipients, mail.begins_at) == ("Asia/Tokyo", 150, MONDAY)
    assert {at - MONDAY: round(number) for at, number in plan.course.items()} == {0 * HOUR: 150}
    assert zone_plan([], "UTC") is None


def test_recipients_without_a_known_zone_have_a_row_of_their_own_in_the_plan() -> None:
    plan = zone_plan([load({"Asia/Tokyo": 100, "": 50}, 100)], "Asia/Tokyo")
    assert plan is not None
    page = "\n".join(plan.lines())
    assert "| Asia/Tokyo | 100 |" in page
    assert "| not known: Asia/Tokyo | 50 |" in page
