"""Trailing windows that hold at the server, whatever the network does."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.pacing import Limit, Pacer, limits, shared


@dataclass(frozen=True)
class Rates:
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None


def most_in_a_window(arrivals: list[float], window: float) -> int:
    """The most arrivals in any trailing window (t - window, t]."""
    arrivals = sorted(arrivals)
    return max(
        (i + 1 - bisect_right(arrivals, at - window) for i, at in enumerate(arrivals)), default=0
    )


def simulate(
    pacer: Pacer, count: int, trips: list[tuple[float, float]], sessions: int, late: list[float]
) -> tuple[list[float], float]:
    """Send `count` messages over so many sessions; the arrivals at the server, and the end.

    A message takes `trips[i]` seconds to the server and back; a wake-up is `late[i]` seconds late.
    """
    now, sent = 0.0, 0
    arrivals: list[float] = []
    replies: list[float] = []
    while sent < count or replies:
        ready = pacer.ready_at(now) if sent < count and len(replies) < sessions else math.inf
        if replies and min(replies) <= ready:
            now = max(now, min(replies))
            replies.remove(min(replies))
            pacer.finished(now)
            continue
        now = ready + (late[sent % len(late)] if ready > now else 0.0)
        there, back = trips[sent % len(trips)]
        pacer.started(now)
        arrivals.append(now + there)
        replies.append(now + there + back)
        sent += 1
    return arrivals, now


limit = st.builds(Limit, st.integers(1, 50), st.sampled_from([1.0, 5.0, 60.0]))
second = st.floats(0, 3, allow_nan=False)


@given(
    st.lists(limit, min_size=1, max_size=3),
    st.lists(st.tuples(second, second), min_size=1, max_size=20),
    st.integers(1, 10),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=5),
)
def test_no_trailing_window_ever_holds_more_than_its_limit(
    limits: list[Limit], trips: list[tuple[float, float]], sessions: int, late: list[float]
) -> None:
    arrivals, _ = simulate(Pacer(limits), 120, trips, sessions, late)
    for one in limits:
        assert most_in_a_window(arrivals, one.window_seconds) <= one.count


@pytest.mark.parametrize(
    ("count", "window", "messages"),
    [
        (1, 60.0, 50),  # one a minute
        (10, 1.0, 300),
        (500, 60.0, 2_000),
        (6_000, 3_600.0, 20_000),
        (1_000, 1.0, 20_000),
    ],
)
def test_a_limit_is_used_to_98_percent_while_there_is_mail(
    count: int, window: float, messages: int
) -> None:
    arrivals, _ = simulate(Pacer([Limit(count, window)]), messages, [(5e-4, 5e-4)], 20, [0.001])
    ideal = (messages - 1) * window / count
    assert ideal / (arrivals[-1] - arrivals[0]) >= 0.98


def test_messages_are_spaced_evenly_rather_than_sent_in_bursts() -> None:
    arrivals, _ = simulate(Pacer([Limit(100, 60.0)]), 300, [(0.0, 0.001)], 4, [0.0])
    gaps = [b - a for a, b in pairwise(arrivals)]
    assert min(gaps) > 0.5 * 0.6


def test_without_limits_a_message_may_always_go() -> None:
    pacer = Pacer([])
    for _ in range(1_000):
        assert pacer.ready_at(7.0) == 7.0
        pacer.started(7.0)


def test_a_message_in_flight_keeps_its_place_until_its_reply() -> None:
    pacer = Pacer([Limit(1, 1.0)])
    pacer.started(0.0)
    assert pacer.ready_at(100.0) == math.inf
    pacer.finished(100.0)
    assert pacer.ready_at(100.0) == pytest.approx(101.0)


def test_memory_stays_bounded_for_a_large_daily_limit() -> None:
    pacer = Pacer([Limit(10_000_000, 86_400.0)])
    for i in range(50_000):
        pacer.started(i * 0.01)
        pacer.finished(i * 0.01)
    assert len(pacer._windows[0].buckets) <= 2_001


def test_the_documented_example_is_shared_out_exactly() -> None:
    shares = {"sendgrid": Decimal("0.7"), "sparkpost": Decimal("0.3")}
    assert shared(Rates(per_hour=6_000), shares) == {
        "sendgrid": (Limit(4_200, 3600.0),),
        "sparkpost": (Limit(1_800, 3600.0),),
    }


def test_a_share_below_one_message_a_window_is_one_in_a_longer_window() -> None:
    shares = {"a": Decimal("0.9"), "b": Decimal("0.1")}
    assert shared(Rates(per_second=2), shares)["b"] == (Limit(1, 5.0),)


def test_a_connection_without_a_share_has_no_limit_and_nothing_to_send() -> None:
    assert shared(Rates(per_second=2), {"a": Decimal(1), "b": Decimal(0)})["b"] == ()


def test_only_limits_that_are_set_count() -> None:
    assert limits(Rates(per_minute=5, per_day=100)) == (Limit(5, 60.0), Limit(100, 86400.0))
