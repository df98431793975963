"""Limits in simulated time: the engine's own starts, and whatever network and server do."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import windows
from benchmarks.throttle_figures import judged
from benchmarks.throttle_points import (
    ALL,
    FAR,
    KILLED,
    MINUTE,
    POINTS,
    SECOND,
    A,
    B,
    Bound,
    Point,
)
from benchmarks.throttle_simulation import World, simulate
from tests.thorough import IS_THOROUGH, examples

pytestmark = pytest.mark.thorough
MOST_MESSAGES = 10_000 if IS_THOROUGH else 7_500
NEAR = [point for point in POINTS if point.messages <= MOST_MESSAGES]
WITHIN_A_ROUND_TRIP = 0.9
"""Of a limit a second 50 ms away: each message counts for up to 100 ms more than its second."""


@pytest.mark.parametrize(
    "point", [*NEAR, *KILLED, *FAR], ids=lambda point: f"{point.title}, {point.database}"
)
def test_a_limit_is_used_and_never_exceeded(point: Point) -> None:
    times, since = simulate(point)
    wanted = WITHIN_A_ROUND_TRIP if point.title == "50 ms, limit a second" else 0.98
    for bound in judged(point, times, since):
        assert bound["most"] <= bound["limit"]
        assert bound["use"] is None or bound["use"] >= wanted


class HostileWorld(World):
    """Delays that vary, grow and shrink without a bound that the sender could learn."""

    def __init__(self, ways: Sequence[float], pauses: Sequence[float]) -> None:
        super().__init__(random.Random(1), 0.0)
        self._ways = itertools.cycle(ways)
        self._pauses = itertools.cycle(pauses)

    def way(self) -> float:
        return next(self._ways)

    def between(self, bounds: tuple[float, float]) -> float:
        return super().between(bounds) + next(self._pauses)


# One-way delays are asymmetric, since they are drawn anew for each way.
ways = st.lists(st.floats(0, 2) | st.sampled_from([0.0, 0.025, 0.4, 1.0]), min_size=1, max_size=30)
pauses = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.7, 3.0]), min_size=1, max_size=30)
HOSTILE = (
    Point("one", 60, (Bound(A, 20, SECOND),), {"per_second": 20}),
    Point(
        "two connections",
        60,
        (Bound(ALL, 20, SECOND), Bound(A, 14, SECOND), Bound(B, 6, SECOND)),
        {"per_second": 20},
        (70, 30),
    ),
    Point("two processes", 40, (Bound(A, 20, SECOND),), own={A: {"per_second": 20}}, campaigns=2),
    Point("killed", 60, (Bound(A, 20, SECOND),), {"per_second": 20}, kill_after=25),
    Point("killed", 60, (Bound(A, 40, MINUTE),), {"per_minute": 40}, kill_after=15),
)


@settings(max_examples=examples(60))
@given(st.sampled_from(HOSTILE), ways, pauses)
def test_no_window_overflows_whatever_the_network_does(
    point: Point, ways: list[float], pauses: list[float]
) -> None:
    times, _ = simulate(point, HostileWorld(ways, pauses), seconds=100.0)
    for bound in point.bounds:
        names = (A, B) if bound.where == ALL else (bound.where,)
        arrivals = sorted(at for name in names for at in times.get(name, ()))
        assert windows.most(arrivals, bound.window_seconds) <= bound.count


def test_the_simulated_server_would_notice_a_limit_that_is_exceeded() -> None:
    point = Point("one", 60, (Bound(A, 19, SECOND),), {"per_second": 20})
    (bound,) = judged(point, simulate(point)[0])
    assert bound["most"] == 20
