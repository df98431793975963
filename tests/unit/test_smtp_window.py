"""The window holds as many messages as make a session faster, and no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.smtp.window import Window

MOST = 20


def size_after(messages: int, round_trip: float, service: float) -> int:
    """Run a window against a server with this round trip and time for each message."""
    window = Window(MOST)
    for _ in range(messages):
        window.answered(max(round_trip, window.size * service))
    return window.size


@pytest.mark.parametrize(
    ("round_trip", "service", "least", "most"),
    [
        (0.050, 0.0001, MOST, MOST),  # far: all that the connection allows
        (0.001, 0.0005, 3, 4),  # on the same network: what fills the way, and a little more
        (0.001, 0.001, 2, 2),  # a server that is slower than the way is long
    ],
)
def test_the_window_grows_to_what_the_link_holds(
    round_trip: float, service: float, least: int, most: int
) -> None:
    assert least <= size_after(500, round_trip, service) <= most


def test_the_window_is_full_after_a_few_round_trips() -> None:
    window, round_trips = Window(MOST), 0
    while window.size < MOST:
        for _ in range(window.size):
            window.answered(0.05)
        round_trips += 1
    assert round_trips <= 10


@given(st.lists(st.floats(0, 100)), st.integers(1, MOST))
def test_the_window_never_exceeds_the_connections_setting(seconds: list[float], most: int) -> None:
    window = Window(most)
    for reply_seconds in seconds:
        before = window.size
        window.answered(reply_seconds)
        assert before <= window.size <= most
