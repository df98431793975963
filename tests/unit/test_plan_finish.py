"""The plan of a campaign with a finish time: its pace, and what to raise where it is too slow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailsluice.campaign.warm_up import WarmUp
from mailsluice.operations.plan.finishing import finish_plan
from tests.unit.test_plan import DAY, HOUR, MONDAY, NOON, OFFICE, connection, planned, two

EVENING = (NOON + 8 * HOUR).isoformat()


def test_each_connection_is_spread_until_the_finish_time() -> None:
    plan = planned(two(finish_by=EVENING), [connection("a", per_hour=2_000), connection("b")])
    a, b = plan.connections
    assert (a.ends_at, b.ends_at) == (NOON + 8 * HOUR, NOON + 8 * HOUR)
    assert (a.binding, b.binding) == ("finish time, 879 an hour", "finish time, 377 an hour")
    assert plan.warnings == []
    assert (
        "The mail is spread evenly until 2026-01-05 20:00 UTC, over 8.0 open hours: a 879 an hour,"
        " b 377 an hour." in plan.markdown()
    )


def test_the_pace_is_that_of_the_open_hours() -> None:
    plan = planned(two(spread_over=24, sending_window=OFFICE), [connection("a"), connection("b")])
    assert "over 9.0 open hours" in plan.finish  # six until the evening, three in the morning
    assert plan.ends_at == NOON + 24 * HOUR


@pytest.mark.parametrize(
    ("fields", "own", "step"),
    [
        ({}, {"per_hour": 600}, "raise a's per_hour from 600 to at least 889"),
        ({}, {"per_minute": 10}, "raise a's per_minute from 10 to at least 15"),
        (
            {"throttle": {"per_hour": 1_000}},
            {"per_hour": 600},
            "raise a's per_hour from 600 to at least 889; raise the campaign's per_hour to at least"
            " 1,270",
        ),
    ],
)
def test_a_limit_that_is_too_low_is_named_with_the_number_that_it_needs(
    fields: dict[str, object], own: dict[str, int], step: str
) -> None:
    limited = [connection("a", **own), connection("b")]
    document = two(finish_by=EVENING, **fields)
    plan = planned(document, limited)
    warning = plan.warnings[0]
    assert warning.startswith(
        "a cannot be done by 2026-01-05 20:00 UTC, but about 2026-01-05 23:40"
    )
    assert f": {step}; or give a later time to finish by" in warning
    assert plan.connections[0].ends_at == NOON + 7_000 / 600 * HOUR


def test_what_the_plan_asks_for_is_enough() -> None:
    limited = [connection("a", per_hour=889), connection("b", per_hour=381)]
    plan = planned(two(finish_by=EVENING, throttle={"per_hour": 1_270}), limited)
    assert plan.warnings == []


def test_too_few_sessions_are_named() -> None:
    plan = planned(
        two(finish_by=(NOON + HOUR / 60).isoformat()), [connection("a"), connection("b")]
    )
    assert "give a more sessions, for 117.3 messages a second" in plan.warnings[0]


def test_the_later_days_of_a_warm_up_are_named() -> None:
    warm_up = WarmUp(start=MONDAY, daily_caps=(1_000, 2_000, 3_000, 4_000))
    plan = planned(two(finish_by=EVENING), [connection("a", warm_up=warm_up), connection("b")])
    assert "its warm-up leaves 6,000 recipients to later days: raise its caps" in plan.warnings[0]


def test_the_limit_of_a_mailbox_provider_is_named() -> None:
    google = {"provider": "google", "per_hour": 100}
    hosts = {"google": 4_000, "yahoo": 6_000}
    plan = planned(
        two(finish_by=EVENING),
        [connection("a", per_provider=[google]), connection("b")],
        hosts=hosts,
    )
    assert "a cannot be done by" in plan.warnings[0]
    assert "100 an hour (its own, for Google)" in plan.warnings[0]


def test_the_wait_of_a_canary_is_taken_off() -> None:
    canary = {"percent": 5, "wait_minutes": 60, "approve": "operator"}
    document = two(finish_by=EVENING, canary=canary)
    found = finish_plan(document, NOON)
    assert found is not None
    assert found.seconds == pytest.approx((7 - 0.04) * 3_600)
    plan = planned(document, [connection("a"), connection("b")])
    assert "over 7.0 open hours, without the canary's wait" in plan.markdown()


def test_a_campaign_that_takes_days_by_its_finish_time_is_not_warned_of() -> None:
    plan = planned(two(finish_by=(NOON + 3 * DAY).isoformat()), [connection("a"), connection("b")])
    assert plan.warnings == []
    assert plan.connections[0].lasts == "3.0 days"
    assert plan.ends_at == NOON + timedelta(days=3)
