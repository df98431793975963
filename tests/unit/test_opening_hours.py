"""A sending window on the monotonic clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.delivery.opening_hours import OpeningHours

MONDAY = datetime(2026, 11, 23, 17, 59, 30, tzinfo=UTC)
WORKDAYS = SendingWindow(days="Mon-Fri", start="09:00", end="18:00")
_BOOT = 1_000.0  # the monotonic clock's time on that Monday


class Wall:
    """A wall clock that runs with the monotonic clock, until somebody sets it."""

    def __init__(self) -> None:
        self.set_forward = timedelta(0)
        self.now = _BOOT
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return MONDAY + timedelta(seconds=self.now - _BOOT) + self.set_forward


def test_a_window_closes_to_the_second_and_opens_the_next_morning() -> None:
    wall = Wall()
    hours = OpeningHours(WORKDAYS, wall)
    assert hours.opens_at(wall.now) == wall.now
    for wall.now in (1_010.0, 1_020.0, 1_029.9):
        assert hours.opens_at(wall.now) == wall.now
    wall.now = 1_030.0
    assert hours.opens_at(wall.now) == 1_030.0 + 15 * 3_600
    wall.now = 1_030.0 + 15 * 3_600
    assert hours.opens_at(wall.now) == wall.now


def test_a_change_of_the_wall_clock_is_noticed() -> None:
    wall = Wall()
    hours = OpeningHours(WORKDAYS, wall)
    assert hours.opens_at(wall.now) == wall.now
    wall.set_forward = timedelta(hours=2)
    wall.now += 21
    assert hours.opens_at(wall.now) > wall.now


def test_the_wall_clock_is_not_read_for_every_message() -> None:
    wall = Wall()
    hours = OpeningHours(SendingWindow(), wall)
    for _ in range(1_000):
        assert hours.opens_at(wall.now) == wall.now
    assert wall.looks == 1
