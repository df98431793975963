"""The bounds of the database's clock, as seen by a local clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.limits import DatabaseClock


@given(
    st.floats(-1e6, 1e6),
    st.floats(-4e-4, 4e-4),
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 0.5), st.floats(0, 0.5)),
        min_size=1,
        max_size=20,
    ),
)
def test_bounds_hold_despite_drift_and_slow_answers(
    difference: float, drift: float, looks: list[tuple[float, float, float]]
) -> None:
    def database(local: float) -> float:
        return local * (1 + drift) + difference

    clock, local = DatabaseClock(), 0.0
    for pause, there, back in looks:
        local += pause
        clock.seen(math.floor(database(local + there) * 1e3) / 1e3, local, local + there + back)
        local += there + back
    slack = 1e-6
    assert clock.to_database(local) >= database(local) - slack
    moment = database(local)
    assert clock.to_local(moment) >= local - slack
    assert clock.until(moment) <= local + slack


def test_after_a_quick_answer_the_bounds_stay_close() -> None:
    clock = DatabaseClock()
    clock.seen(1_000.0, 10.0, 10.001)
    clock.seen(1_001.4, 10.5, 12.5)
    assert clock.to_local(1_002.0) == pytest.approx(12.0, abs=0.005)


def test_after_a_clock_is_set_its_new_time_counts() -> None:
    clock = DatabaseClock()
    clock.seen(1_000.0, 10.0, 10.001)
    clock.seen(5_000.0, 11.0, 11.001)
    assert clock.to_local(5_000.0) == pytest.approx(11.0, abs=0.01)
