"""A sending window in several time zones at once."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.zone_hours import ZoneHours
from mailsluice.core.errors import CampaignError
from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.store import ZonePart
from tests.thorough import examples
from tests.unit.test_sending_window import ZONES

OFFSETS = ["UTC+05:45", "UTC-03:30", "UTC+14:00", "UTC-11:00"]
MORNING = SendingWindow(days="Mon-Fri", start="09:00", end="12:00", timezone="Europe/Berlin")

windows = st.builds(
    SendingWindow,
    days=st.sampled_from(["Mon-Sun", "Mon-Fri", "Sat", "Tue, Thu"]),
    start=st.sampled_from([None, "00:00", "02:30", "09:00", "22:00"]),
    end=st.sampled_from([None, "03:00", "09:00", "18:00"]),
    timezone=st.sampled_from([None, *ZONES]),
)
zones = st.lists(st.sampled_from(["", *ZONES, *OFFSETS]), min_size=1, max_size=5, unique=True)
moments = st.datetimes(
    datetime(2024, 1, 1),  # noqa: DTZ001 the strategy adds the time zone
    datetime(2027, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@settings(max_examples=examples())
@given(windows, zones, moments, st.lists(st.integers(0, 40 * 3_600), max_size=10))
def test_a_zone_is_open_when_a_window_with_its_time_zone_is(
    window: SendingWindow, names: list[str], start: datetime, steps: list[int]
) -> None:
    """Also when the clock is set back."""
    hours, moment = ZoneHours(window, names), start
    for step in [0, *steps]:
        moment += timedelta(seconds=step - 7_200)
        opened = hours.at(moment.timestamp())
        assert sorted([*opened.open, *opened.closed]) == [*range(len(names))]
        assert opened.shut == {*opened.closed}
        for zone, name in enumerate(names):
            plain = window.in_zone(name)
            assert (zone in opened.open) == plain.is_open(moment)
            if zone in opened.closed:
                opens = datetime.fromtimestamp(hours.spell(zone, moment.timestamp()).until, UTC)
                assert opens == plain.opens_at(moment)


def test_zones_are_in_the_order_in_which_they_close_and_open() -> None:
    """At 10:00 in Berlin: 09:00 in London, 11:00 in Athens, and 05:00 and later in America."""
    names = ["Europe/London", "America/New_York", "Europe/Athens", "America/Sao_Paulo", ""]
    hours = ZoneHours(MORNING, names)
    opened = hours.at(stamp("2026-11-23T10:00+01:00"))
    assert [names[zone] for zone in opened.open] == ["Europe/Athens", "", "Europe/London"]
    assert [names[zone] for zone in opened.closed] == ["America/Sao_Paulo", "America/New_York"]


def test_nine_oclock_stays_nine_oclock_when_the_clocks_change() -> None:
    hours = ZoneHours(MORNING, ["America/New_York", "Europe/Berlin"])
    opens = [
        hours.spell(zone, stamp("2026-10-31T12:00+00:00")).until for zone in (0, 1)
    ]  # Berlin has set its clocks back already, New York does so in this night
    assert opens == [stamp("2026-11-02T14:00+00:00"), stamp("2026-11-02T08:00+00:00")]


def test_a_window_that_never_closes_is_open_everywhere() -> None:
    opened = ZoneHours(SendingWindow(days="Mon-Sun"), ["", "Asia/Tokyo"]).at(0.0)
    assert (opened.open, opened.closed, opened.until) == ((0, 1), (), math.inf)


def test_the_ids_tell_the_zone_of_a_recipient() -> None:
    parts = [ZonePart("Asia/Tokyo", 3, 0, 12), ZonePart("", 2, 12, 20)]
    hours = RecipientHours(MORNING, parts, lambda: stamp("2026-11-23T10:00+01:00"))
    assert [hours.zone_of(number) for number in (1, 12, 13, 20)] == [0, 0, 1, 1]
    assert [hours.is_open(number) for number in (12, 13)] == [False, True]
    assert hours.opening(0, hours.wall()) == "09:00 in Asia/Tokyo"


def test_a_zone_that_this_machine_does_not_know_is_refused() -> None:
    """Another machine, with a newer database, has launched the campaign."""
    with pytest.raises(CampaignError, match=r"key Europe/Atlantis\. Update its tz"):
        RecipientHours(MORNING, [ZonePart("Europe/Atlantis", 3, 0, 12)])
