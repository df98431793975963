"""Finish times: how they are written, what they mean, and the pace that follows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.campaign import Campaign
from mailsluice.campaign.finish import Span
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.errors import CampaignError
from mailsluice.limits import (
    Bound,
    CalendarLimit,
    Hold,
    Limit,
    Pace,
    QuotaUse,
    Rules,
    Spread,
    Unit,
    Usage,
    give_out,
    hold,
)
from mailsluice.operations.finish import refuse_impossible
from mailsluice.operations.finish.pacing import Capability, ends_at, look_in_seconds, spread_until
from mailsluice.operations.finish.telling import FinishTeller
from mailsluice.reports.progress import Cause, Finish
from tests.unit.test_assignment import campaign as campaign_of

DAY = date(2026, 12, 1)
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PACED = Rules(is_paced=True)
ROUTES = [{"connection": "a"}]
BERLIN = {"days": "Mon-Sun", "timezone": "Europe/Berlin"}


def campaign(**fields: Any) -> Campaign:
    return campaign_of(routes=ROUTES, **fields)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-12-01T12:00+01:00", "2026-12-01T11:00+00:00"),
        ("2026-12-01T12:00Z", "2026-12-01T12:00+00:00"),
        ("2026-12-01 12:00", "2026-12-01T11:00+00:00"),  # in Berlin
        ("2026-12-01T12:00:30", "2026-12-01T11:00:30+00:00"),
        ("12:00", "2026-12-01T11:00+00:00"),  # on the day of the run
        ("9:30", "2026-12-01T08:30+00:00"),
        (12 * 60, "2026-12-01T11:00+00:00"),  # 12:00 without quotes, as YAML 1.1 reads it
        (datetime(2026, 12, 1, 12), "2026-12-01T11:00+00:00"),  # noqa: DTZ001 as YAML reads it
        ("2026-10-25 02:30", "2026-10-25T00:30+00:00"),  # comes twice: the first one
        ("2026-03-29 02:30", "2026-03-29T01:30+00:00"),  # is skipped: 03:30 summer time
    ],
)
def test_a_finish_time_is_a_moment_or_a_time_of_the_runs_day(written: Any, moment: str) -> None:
    document = campaign(finish_by=written, sending_window=BERLIN).on_day(DAY)
    assert document.finish_at(NOON) == datetime.fromisoformat(moment)
    assert document.on_day(DAY + timedelta(days=1)).finish_by == document.finish_by  # it stays


@pytest.mark.parametrize(
    "wrong",
    [
        "noon",
        "2026-12-01",
        "25:00",
        "12.00",
        "2026-13-01 12:00",
        "0001-01-01T00:00+23:00",
        "x" * 41,
    ],
)
def test_a_text_that_is_no_time_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        campaign(finish_by=wrong)
    assert "finish_by" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_campaign_has_one_end() -> None:
    with pytest.raises(ValidationError, match="remove one of them"):
        campaign(finish_by="12:00", spread_over=4)


def test_an_empty_field_is_no_finish_time() -> None:
    document = campaign(finish_by="")
    assert not document.is_paced
    assert document.finish_at(NOON) is None


def test_the_end_may_be_changed_between_runs() -> None:
    assert campaign(finish_by="12:00").content() == campaign(spread_over=3).content()
    assert campaign(finish_by="12:00").content() == campaign().content()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"finish_by": "2026-12-01T12:00Z"}, "which has passed"),
        ({"finish_by": "2027-12-25T12:00Z"}, "more than a year away"),
        (
            {
                "finish_by": "2026-12-01T15:00Z",
                "sending_window": {"days": "Mon-Fri", "start": "16:00", "end": "18:00"},
            },
            "its sending window opens at 2026-12-01 16:00 UTC",
        ),
        ({"finish_by": "2026-12-01T12:01Z"}, None),
        ({"spread_over": 8_784}, None),
        ({}, None),
    ],
)
def test_a_launch_needs_time_until_its_end(fields: dict[str, Any], reason: str | None) -> None:
    document = campaign(**fields).on_day(DAY)
    if reason is None:
        refuse_impossible(document, NOON)
        return
    with pytest.raises(CampaignError, match=reason):
        refuse_impossible(document, NOON)


def paced(messages: int, seconds: float, now: float = 1_000.0) -> Usage:
    """A usage that is to spread messages from now on."""
    usage = Usage()
    usage.spread(Spread(messages, now, now + seconds))
    return usage


def taken(usage: Usage, now: float) -> list[float]:
    """The starts that are given out at a moment, and answered at once."""
    return give_out([(usage, PACED)], now, now + 0.4, 1_000)[0]


def test_the_first_message_goes_at_once_and_the_last_at_the_end() -> None:
    usage, at, starts = paced(11, 100.0), 1_000.0, list[float]()
    while at <= 1_100.0:
        starts += taken(usage, at)
        at += 0.25
    assert starts == pytest.approx([1_000.0 + 10 * i for i in range(11)])


@given(st.integers(1, 500), st.floats(1.0, 1e6), st.floats(0.0, 0.9), st.integers(0, 300))
def test_a_new_count_changes_the_pace_from_the_last_start_on(
    messages: int, seconds: float, part: float, more: int
) -> None:
    """The next start is never in the past, and the last one is at the end, however often asked."""
    usage, now = paced(messages, seconds), 1_000.0 + part * seconds
    end = 1_000.0 + seconds
    for _ in range(3):
        usage.spread(Spread(messages + more, now, end))
        assert now <= usage.next_at <= end + 1e-6
        last = usage.next_at + (max(1, messages + more) - 1) * usage.spacing
        assert last == pytest.approx(end) or messages + more == 1


def test_starts_that_come_back_are_given_out_again() -> None:
    usage = paced(1_000, 100.0)
    before = usage.next_at
    starts = taken(usage, 1_000.0)
    usage.report("a", len(starts), 1_030.0, (), PACED)
    usage.report("a", 0, 1_030.0, (), PACED)
    assert usage.next_at == pytest.approx(before)


def test_messages_on_their_way_have_their_start() -> None:
    usage = paced(1_001, 1_000.0)
    usage.report("a", len(taken(usage, 1_000.0)) + 99, 1_030.0, (), PACED)
    usage.spread(Spread(1_000, 1_001.0, 2_000.0))
    assert usage.spacing == pytest.approx(999 / 899, rel=0.01)


def test_recipients_that_arrive_late_do_not_wait_for_the_end() -> None:
    """The next start of a connection without recipients is at the end of the campaign."""
    usage = paced(0, 1_000.0)
    assert taken(usage, 1_000.0) == [1_000.0]
    assert usage.next_at == 2_000.0
    usage.spread(Spread(100, 1_010.0, 2_000.0))
    assert usage.next_at == pytest.approx(1_010.0)
    assert usage.spacing == pytest.approx(10.0)


def test_after_the_end_there_is_no_pace() -> None:
    usage = paced(100, 1_000.0)
    usage.spread(Spread(50, 2_001.0, 2_000.0))
    assert len(taken(usage, 2_001.0)) == 1_000


def test_the_pace_outlives_the_process() -> None:
    usage = paced(101, 1_000.0)
    read = Usage.from_json(orjson.loads(orjson.dumps(usage.to_json())))
    assert (read.spacing, read.next_at) == (usage.spacing, usage.next_at)
    assert "spacing" not in Usage().to_json()


def test_a_pace_is_named_and_a_lower_limit_is_named_instead() -> None:
    usage = paced(101, 1_000.0)
    taken(usage, 1_000.0)
    assert hold({"pace": (usage, PACED)}, 1_000.0) == Hold("pace", Pace(10.0), 1_010.0)
    own, slow = Usage(next_at=1_060.0), Rules((Limit(1, 60.0),))
    both = {"pace": (usage, PACED), "connection red": (own, slow)}
    assert hold(both, 1_000.0) == Hold("connection red", slow.limits[0], 1_060.0)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(6.0, "600 an hour"), (600.0, "one in 0:10:00"), (0.01, "360,000 an hour")],
)
def test_a_pace_is_shown_by_the_hour_or_by_its_distance(seconds: float, shown: str) -> None:
    assert str(Pace(seconds)) == shown


def test_a_span_has_its_open_hours_and_a_little_spare_time() -> None:
    office = SendingWindow(days="Mon-Fri", start="09:00", end="17:00")
    span = Span(office, NOON, NOON + 24 * HOUR)
    left = [span.left(NOON), span.left(NOON + 8 * HOUR), span.left(NOON, NOON + HOUR)]
    assert [opens_at for opens_at, _ in left] == [NOON, NOON + 21 * HOUR, NOON]
    hours = [seconds / 3_600 for _, seconds in left]
    assert hours == pytest.approx([8 - 0.04, 3 - 0.04, 1 - 0.04])
    assert span.left(NOON + 25 * HOUR)[1] == 0
    assert span.closes_at == NOON + 24 * HOUR
    assert Span(office, NOON, NOON + 8 * HOUR).closes_at == NOON + 5 * HOUR


@pytest.mark.parametrize(
    ("left", "took", "pause"),
    [
        (36_000.0, 0.01, 30.0),  # at most, where a look costs nothing
        (36_000.0, 0.6, 60.0),  # a million recipients: a hundredth of the time
        (200.0, 0.6, 10.0),  # ... but often enough before the end
        (60.0, 0.6, 6.0),  # ... for a tenth of the time at most
        (20.0, 0.01, 1.0),
        (3.0, 0.01, 4.0),  # not in the last seconds
        (-5.0, 0.01, 30.0),  # after the end
    ],
)
def test_looks_are_as_frequent_as_they_are_cheap(left: float, took: float, pause: float) -> None:
    assert look_in_seconds(left, took) == pytest.approx(pause)


def test_in_a_warm_up_the_recipients_of_a_day_are_spread_until_its_end() -> None:
    span = Span(SendingWindow(), NOON, NOON + 60 * HOUR)
    warm_up = WarmUp(start=DAY, daily_caps=(100, 200), timezone="Europe/Berlin")
    assert spread_until(warm_up, NOON, span) == NOON + 11 * HOUR  # midnight in Berlin
    assert spread_until(warm_up, NOON + 12 * HOUR, span) == NOON + 35 * HOUR
    assert spread_until(warm_up, NOON + 36 * HOUR, span) == span.until  # after the last day
    assert spread_until(warm_up, NOON, Span(SendingWindow(), NOON, NOON + HOUR)) == NOON + HOUR
    assert spread_until(WarmUp(), NOON, span) == span.until


def test_connections_that_end_too_late_are_late() -> None:
    ends = {"a": NOON, "b": NOON + HOUR, "c": None, "d": NOON + HOUR / 100}
    finish = Finish(NOON, ends, HOUR / 50)
    assert list(finish.late) == ["c", "b"]
    assert finish.ends_at is None
    assert Finish(NOON, {"a": NOON + HOUR}).ends_at == NOON + HOUR
    assert Finish(NOON).ends_at == NOON
    assert Finish(NOON).late == {}


def seen(*looks: tuple[float, int, Cause]) -> float | None:
    """What is known of a connection after some looks at it."""
    capability = Capability()
    for look in looks:
        capability.see(*look)
    return capability.per_second


def test_a_connection_that_sends_for_a_minute_without_being_paced_is_as_fast_as_it_can_be() -> None:
    work = [(10.0 * i, 20 * i, Cause.FREE) for i in range(8)]
    assert seen(*work[:6]) is None  # fifty seconds
    assert seen(*work) == pytest.approx(2.0)
    assert seen(*work[:4], (35.0, 75, Cause.PACED), *work[4:]) is None
    assert seen(*work[:4], (35.0, 75, Cause.RESTING), *work[4:]) is None
    assert seen(*work[:4], (35.0, 20, Cause.FREE), *work[4:]) is None  # others' recipients came
    assert seen(*[(at, 7, cause) for at, _, cause in work]) is None  # nothing was settled


def test_a_connection_is_done_as_its_lowest_limit_or_its_measured_pace_allows() -> None:
    always = SendingWindow()
    hourly = Bound(Limit(100, 3_600.0), "its own")
    assert ends_at(NOON, 200, [hourly], None, always) == NOON + 2 * HOUR
    assert ends_at(NOON, 200, [hourly], 50 / 3_600, always) == NOON + 4 * HOUR
    assert ends_at(NOON, 200, [], None, always) == NOON
    assert ends_at(NOON, 10**9, [hourly], None, always) is None
    tomorrow = NOON.replace(hour=0) + 24 * HOUR
    quota = QuotaUse(CalendarLimit(100, Unit.DAY, "UTC", 0), 40, tomorrow.timestamp())
    assert ends_at(NOON, 60, [], None, always, [quota]) == NOON
    assert ends_at(NOON, 160, [hourly], None, always, [quota]) == tomorrow + HOUR


def test_the_log_tells_that_a_campaign_becomes_late_and_is_in_time_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    teller, end = FinishTeller("Europe/Berlin"), NOON + HOUR
    in_time, late = Finish(end, {"red": end}), Finish(end, {"red": end + HOUR, "green": None})
    for finish in (in_time, late, late, in_time):
        teller.tell(finish, NOON, 7)
    teller.tell(late, end, 0)
    teller.tell(late, end, 3)
    teller.tell(late, end + HOUR, 2)
    assert caplog.messages == [
        "the campaign will not be finished by 14:00 Europe/Berlin: green takes years; red is"
        " expected at 15:00 Europe/Berlin",
        "the campaign will be finished by 14:00 Europe/Berlin after all",
        "the campaign was to be finished by 14:00:00 Europe/Berlin, which has passed: what is left"
        " (3) goes as fast as the limits allow",
    ]
