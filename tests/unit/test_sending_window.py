"""Sending windows: when they open and close, and which are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.campaign.sending_window import SendingWindow
from tests.unit.test_campaign import campaign

OFFICE = SendingWindow(days="Mon-Fri", start="09:00", end="18:00", timezone="Europe/Berlin")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # changes its clocks at midnight
    "Asia/Kathmandu",  # 5:45
    "Australia/Lord_Howe",  # changes by half an hour
    "Pacific/Apia",  # skipped 30 December 2011
    "Africa/Casablanca",
    "America/Santiago",
]
SECOND = timedelta(seconds=1)


def berlin(text: str, fold: int = 0) -> datetime:
    """Return the moment of a wall-clock time in Berlin."""
    wall = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
    return wall.astimezone(UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def night(start: str, end: str, days: str = "Mon-Sun") -> SendingWindow:
    return SendingWindow(days=days, start=start, end=end, timezone="Europe/Berlin")


def open_seconds(window: SendingWindow, first: datetime, last: datetime) -> float:
    """Return the open seconds between two moments, from edge to edge."""
    total, at = timedelta(0), window.opens_at(first)
    while at < last:
        closes = min(window.closes_at(at) or last, last)
        total += closes - at
        at = window.opens_at(closes)
    return total.total_seconds()


def test_an_empty_window_is_always_open() -> None:
    window = campaign().sending_window
    now = utc("2026-01-04T03:00")
    assert window.is_open(now)
    assert window.opens_at(now) == now
    assert window.closes_at(now) is None


def test_a_window_is_not_part_of_the_campaigns_content() -> None:
    assert campaign(sending_window=OFFICE).content() == campaign().content()


@pytest.mark.parametrize(
    ("now", "opens", "closes"),
    [
        ("2026-01-07T12:00", "2026-01-07T12:00", "2026-01-07T18:00"),  # Wednesday noon
        ("2026-01-07T08:59:59", "2026-01-07T09:00", None),
        ("2026-01-07T09:00", "2026-01-07T09:00", "2026-01-07T18:00"),
        ("2026-01-07T18:00", "2026-01-08T09:00", None),  # closed at the end
        ("2026-01-09T18:00", "2026-01-12T09:00", None),  # over the weekend
        ("2026-03-27T18:00", "2026-03-30T09:00", None),  # over a weekend with an hour less
    ],
)
def test_office_hours(now: str, opens: str, closes: str | None) -> None:
    assert OFFICE.opens_at(berlin(now)) == berlin(opens)
    assert OFFICE.is_open(berlin(now)) is (closes is not None)
    assert OFFICE.closes_at(berlin(now)) == berlin(closes or now)


@pytest.mark.parametrize(
    ("start", "end", "first", "hours"),
    [
        ("09:00", "18:00", "2026-03-29T00:00", 9),  # a day with an hour less at night
        ("00:00", "24:00", "2026-03-29T00:00", 23),
        ("00:00", "24:00", "2026-10-25T00:00", 25),
        ("22:00", "06:00", "2026-03-28T12:00", 7),  # the clock skips from 2 to 3
        ("22:00", "06:00", "2026-10-24T12:00", 9),  # the clock shows 2 to 3 twice
        ("22:00", "06:00", "2026-06-06T12:00", 8),
        ("02:00", "03:00", "2026-03-28T12:00", 0),  # the clock skips this hour
        ("02:00", "03:00", "2026-10-24T12:00", 2),
        ("02:30", "02:45", "2026-10-24T12:00", 0.5),
        ("02:30", "04:00", "2026-03-28T12:00", 1),  # opens when the clock skips to 3
        ("07:00", "07:00", "2026-06-07T07:00", 24),  # all day long
    ],
)
def test_hours_follow_the_clock_on_the_wall(start: str, end: str, first: str, hours: float) -> None:
    window = night(start, end, days="Sat, Sun")
    begin = berlin(first)
    assert open_seconds(window, begin, begin + timedelta(hours=25)) == hours * 3600


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    window = night("22:00", "02:00", days="Fri")
    assert window.opens_at(berlin("2026-01-05T00:00")) == berlin("2026-01-09T22:00")
    assert window.closes_at(berlin("2026-01-09T23:00")) == berlin("2026-01-10T02:00")
    assert not window.is_open(berlin("2026-01-09T01:00"))


def test_a_weekly_window_that_the_clock_skips_opens_a_week_later() -> None:
    window = night("02:15", "02:45", days="Sun")
    assert window.opens_at(berlin("2026-03-22T12:00")) == berlin("2026-04-05T02:15")


def test_a_window_never_opens_on_a_day_that_a_zone_skipped() -> None:
    window = SendingWindow(days="Fri", timezone="Pacific/Apia")
    opens = window.opens_at(utc("2011-12-29T00:00"))
    assert opens == datetime(2012, 1, 6, tzinfo=ZoneInfo("Pacific/Apia"))


def test_a_window_that_is_open_day_and_night_never_closes() -> None:
    assert SendingWindow(days="Mon-Sun").closes_at(utc("2026-03-01T12:00")) is None


times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
windows = st.builds(
    SendingWindow,
    days=st.sampled_from(["Mon-Fri", "Sun", "Sat-Mon", "Tue, Fri", "Mon-Sun"]),
    start=times,
    end=times | st.just("24:00"),
    timezone=st.sampled_from(ZONES),
)
moments = st.datetimes(
    datetime(2005, 1, 1),  # noqa: DTZ001 hypothesis adds the zone
    datetime(2045, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from(list(map(ZoneInfo, ZONES))),
) | st.sampled_from([berlin("2026-03-28T20:00"), berlin("2026-10-24T20:00")])


@given(windows, moments, st.integers(0, 999))
def test_a_window_opens_at_the_first_open_moment(
    window: SendingWindow, moment: datetime, thousandths: int
) -> None:
    opens = window.opens_at(moment)
    waited = opens - (moment := moment.astimezone(UTC))
    assert waited >= timedelta(0)
    assert window.is_open(opens)
    if waited:
        assert not window.is_open(moment + waited * thousandths / 1000)
        assert not window.is_open(max(opens - SECOND, moment))


@given(windows, moments, st.integers(0, 999))
def test_a_window_closes_at_the_first_closed_moment(
    window: SendingWindow, moment: datetime, thousandths: int
) -> None:
    opens = window.opens_at(moment)
    closes = window.closes_at(opens)
    if closes is None:
        assert window.is_open(opens + thousandths / 1000 * timedelta(days=15))
        return
    assert not window.is_open(closes)
    assert window.is_open(opens + (closes - opens) * thousandths / 1000)
    assert window.is_open(closes - SECOND)


@given(windows, st.dates(date(2005, 1, 3), date(2045, 1, 1)))
def test_a_window_is_open_for_its_hours_in_a_week_without_a_clock_change(
    window: SendingWindow, day: date
) -> None:
    zone = ZoneInfo(window.timezone or "UTC")
    first = datetime.combine(day, time(12), tzinfo=zone)
    offsets = {(first + timedelta(days=i)).utcoffset() for i in range(-3, 11)}
    if len(offsets) > 1:
        return
    days = len([d for d in range(7) if window.is_open(_inside(window, first, d))])
    hours = open_seconds(window, first.astimezone(UTC), first.astimezone(UTC) + timedelta(days=7))
    assert hours == pytest.approx(days * window._length * 60)


def _inside(window: SendingWindow, first: datetime, day: int) -> datetime:
    """Return the moment at which the window opens on a day."""
    hour, minute = map(int, (window.start or "00:00").split(":"))
    opening = (first + timedelta(days=day)).replace(hour=hour, minute=minute)
    return opening.astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon-Fri", {0, 1, 2, 3, 4}),
        ("mon – wed, Sunday", {0, 1, 2, 6}),
        ("Sat-Mon", {5, 6, 0}),  # over the end of the week
        ("Tues Thurs", {1, 3}),
    ],
)
def test_days_are_read_in_the_ways_that_people_write_them(text: str, days: set[int]) -> None:
    window = SendingWindow(days=text)
    monday = utc("2026-01-05T12:00")
    assert {i for i in range(7) if window.is_open(monday + timedelta(days=i))} == days


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"start": "09:00", "end": "18:00"}, "no day, so it never opens: give its days"),
        ({"timezone": "Europe/Berlin"}, "no day, so it never opens"),
        ({"days": ","}, "no day, so it never opens: write Mon-Fri"),
        ({"days": "Mo-Fr"}, "'Mo' is no day: write Mon, Tue"),
        ({"days": "Mon", "start": "9 am"}, "is no time of day: write it as 09:00"),
        ({"days": "Mon", "end": "24:01"}, "is no time of day: write it as 09:00"),
        ({"days": "Mon", "timezone": "europe/berlin"}, "such as Europe/Berlin or UTC"),
        ({"days": "Mon", "timezone": "Europe"}, "unknown time zone 'Europe': use an IANA name"),
        ({"days": "Mon", "timezone": "../UTC"}, "unknown time zone"),
        ({"days": "Mon", "hours": "9-18"}, "Extra inputs"),
        ({"zone_column": "zone"}, "a column of time zones or countries needs the days and hours"),
        ({"country_column": "land", "start": "09:00"}, "needs the days and hours"),
    ],
)
def test_an_invalid_window_is_refused_with_advice(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        campaign(sending_window=fields)
    assert advice in str(caught.value)


def test_empty_fields_of_the_form_count_as_left_out() -> None:
    empty = {"days": "", "start": "", "end": "", "timezone": "", "zone_column": " "}
    assert campaign(sending_window=empty).sending_window == SendingWindow()


def test_the_columns_of_time_zones_identify_a_campaign_but_not_its_hours() -> None:
    zones = OFFICE.model_copy(update={"zone_column": "zone"})
    content = campaign(sending_window=zones).content()
    assert content["sending_window"] == {"zone_column": "zone"}
    later = zones.model_copy(update={"start": "10:00"})
    assert campaign(sending_window=later).content() == content
    assert campaign(sending_window=OFFICE).content() != content


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"canary": {"percent": 1, "approve": "operator"}}, "a canary cannot be judged before"),
        (
            {
                "lend": True,
                "strategy": "round_robin",
                "routes": [{"connection": "red"}, {"connection": "green"}],
            },
            "lending compares connections that have mail to send",
        ),
        ({"spread_over": 8}, "an even pace is computed for one sending window"),
        ({"finish_by": "2026-12-01 12:00"}, "an even pace is computed for one sending window"),
    ],
)
def test_what_is_not_made_for_several_time_zones_is_refused(
    fields: dict[str, Any], reason: str
) -> None:
    window = {"days": "Mon-Fri", "country_column": "land"}
    with pytest.raises(ValidationError, match=reason):
        campaign(sending_window=window, **fields)


def test_a_window_has_the_same_hours_in_another_time_zone() -> None:
    zones = OFFICE.model_copy(update={"zone_column": "zone"})
    assert zones.in_zone("UTC+09:30").opens_at(utc("2026-01-05T00:00")) == utc("2026-01-05T00:00")
    assert zones.in_zone("UTC+09:30").closes_at(utc("2026-01-05T00:00")) == utc("2026-01-05T08:30")
    assert zones.in_zone("").opens_at(utc("2026-01-05T00:00")) == utc("2026-01-05T08:00")


def test_times_without_quotes_in_yaml_are_times() -> None:
    """YAML 1.1 reads 18:00 as 1080."""
    assert SendingWindow(days="Mon", end=1080) == SendingWindow(days="Mon", end="18:00")
