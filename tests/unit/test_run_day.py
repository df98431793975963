"""The day of a run, by the time zone of its schedule."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import (
    CronSchedule,
    IntervalSchedule,
    NoSchedule,
    RRuleSchedule,
)
from prefect.server.schemas.schedules import CronSchedule as ServerCron
from prefect.server.schemas.schedules import RRuleSchedule as ServerRRule

from flows.support import run_day
from flows.support.run_day import day_at, zone_of
from mailsluice.campaign import Campaign
from tests.unit.test_campaign import campaign

ZONES = (
    "Australia/Sydney",
    "Australia/Lord_Howe",  # its clocks change by half an hour
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",  # no clock changes; at eight in the morning UTC has the day before
    "Pacific/Kiritimati",  # fourteen hours ahead
)


@pytest.fixture
def in_schedule(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets runs be of a schedule in this time zone."""

    def use(zone: str | None) -> None:
        monkeypatch.setattr(run_day, "_scheduled_zone", lambda *_: zone)

    use(None)
    return use


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 8, 10, 23])
def test_a_daily_schedule_has_each_day_of_a_year_once(
    in_schedule: Any, zone: str, hour: int
) -> None:
    """The moments are those that Prefect's own schedule gives."""
    in_schedule(zone)
    schedule = ServerCron(cron=f"30 {hour} * * *", timezone=zone)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = asyncio.run(schedule.get_dates(n=370, start=start))
    days = [day_at({}, moment.astimezone(UTC)).day for moment in moments]
    first = days[0]
    assert days == [first + timedelta(days=number) for number in range(370)]


def test_a_day_of_the_utc_clock_would_repeat_and_be_missing() -> None:
    """The test above could fail: in UTC, Sydney's 10:30 has 4 October never, or 3 October twice."""
    schedule = ServerCron(cron="30 10 * * *", timezone="Australia/Sydney")
    start = datetime(2026, 10, 1, tzinfo=UTC)
    moments = asyncio.run(schedule.get_dates(n=6, start=start))
    assert len({moment.astimezone(UTC).date() for moment in moments}) < 6


@pytest.mark.parametrize("zone", ZONES)
def test_a_recurrence_rule_has_each_day_once(in_schedule: Any, zone: str) -> None:
    in_schedule(zone)
    schedule = ServerRRule(rrule="DTSTART:20260101T103000\nRRULE:FREQ=DAILY", timezone=zone)
    start = datetime(2026, 3, 20, tzinfo=UTC)
    moments = asyncio.run(schedule.get_dates(n=250, start=start))
    days = [day_at({}, moment.astimezone(UTC)).day for moment in moments]
    assert days == [days[0] + timedelta(days=number) for number in range(250)]


@pytest.mark.parametrize(
    ("scheduled", "window", "day", "reason"),
    [
        ("Australia/Sydney", "Europe/Berlin", 4, "the time zone of the schedule"),
        (None, "Australia/Sydney", 4, "the time zone of the sending window"),
        (None, "Europe/Berlin", 4, "the time zone of the sending window"),
        (None, "America/New_York", 3, "the time zone of the sending window"),
        (None, "Mars/Olympus", 3, "UTC"),  # the document's check says what is wrong with it
        (None, None, 3, "UTC"),
        ("UTC", "Australia/Sydney", 3, "in UTC, the time zone of the schedule"),
    ],
)
def test_the_schedule_comes_before_the_sending_window(
    in_schedule: Any, scheduled: str | None, window: str | None, day: int, reason: str
) -> None:
    in_schedule(scheduled)
    document = {"sending_window": {"days": "Mon-Sun", "timezone": window}}
    found = day_at(document, datetime(2026, 10, 3, 23, 30, tzinfo=UTC))
    assert (found.day, reason in found.reason) == (date(2026, 10, day), True)


def test_a_checked_document_has_the_day_of_an_unchecked_one(in_schedule: Any) -> None:
    window = {"days": "Mon-Sun", "timezone": "Asia/Tokyo"}
    document: Campaign = campaign(sending_window=window)
    moment = datetime(2026, 10, 3, 23, 30, tzinfo=UTC)
    assert day_at(document, moment) == day_at({"sending_window": window}, moment)
    undated: list[Any] = [None, "text", 7, [], {"sending_window": "text"}]
    for broken in undated:
        assert day_at(broken, moment).day == date(2026, 10, 3)


def _schedule(schedule: Any) -> DeploymentSchedule:
    return DeploymentSchedule(id=uuid4(), schedule=schedule)


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("schedules", "zone"),
    [
        ([CronSchedule(cron="0 9 * * *", timezone="Asia/Tokyo")], "Asia/Tokyo"),
        ([IntervalSchedule(interval=DAY, timezone="Asia/Tokyo")], "Asia/Tokyo"),
        ([RRuleSchedule(rrule="FREQ=DAILY", timezone="Asia/Tokyo")], "Asia/Tokyo"),
        ([CronSchedule(cron="0 9 * * *")], None),  # the sending window's, then
        ([NoSchedule()], None),
        ([], None),
        # several of one zone agree, of several zones do not
        ([CronSchedule(cron=f"0 {h} * * *", timezone="Asia/Tokyo") for h in (9, 15)], "Asia/Tokyo"),
        ([CronSchedule(cron="0 9 * * *", timezone=one) for one in ZONES[:2]], None),
    ],
)
def test_the_time_zone_of_schedules(schedules: list[Any], zone: str | None) -> None:
    assert zone_of([_schedule(one) for one in schedules]) == zone
