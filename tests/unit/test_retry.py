"""The time at which a deferred recipient is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign import Retry
from mailsluice.campaign.retry import RetryDecision, decide

RETRY = Retry(max_attempts=5, max_age_hours=1, first_delay_seconds=60, max_delay_seconds=200)


@pytest.mark.parametrize(
    ("attempts", "uniform", "delay"),
    [
        (1, 0.5, 30),
        (2, 0.5, 60),
        (3, 0.5, 100),  # capped: 200, not 240
        (4, 0.5, 100),
        (1, 0.0, 6),  # the shortest wait
    ],
)
def test_the_wait_doubles_up_to_its_cap(attempts: int, uniform: float, delay: float) -> None:
    decision = decide(attempts, 0, RETRY, uniform)
    assert decision is not None
    assert decision.delay_seconds == pytest.approx(delay)


def test_retries_end_when_the_attempts_are_used_up() -> None:
    assert decide(4, 0, RETRY, 0.5) is not None
    assert decide(5, 0, RETRY, 0.5) is None


def test_retries_end_when_the_message_is_too_old() -> None:
    assert decide(1, 3_601, RETRY, 0.5) is None


def test_the_last_attempt_falls_within_the_age() -> None:
    assert decide(1, 3_590, RETRY, 0.9) == RetryDecision(10)


RETRIES = st.builds(
    Retry,
    max_attempts=st.integers(1, 100),
    max_age_hours=st.floats(0.01, 720),
    first_delay_seconds=st.floats(0.01, 86_400),
    max_delay_seconds=st.floats(0.01, 86_400),
)


@given(RETRIES, st.integers(1, 100), st.floats(0, 3e6), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_positive_and_within_all_bounds(
    retry: Retry, attempts: int, age: float, uniform: float
) -> None:
    decision = decide(attempts, age, retry, uniform)
    if decision is not None:
        assert retry.max_attempts is None or attempts < retry.max_attempts
        assert 0 < decision.delay_seconds <= retry.max_delay_seconds
        assert age + decision.delay_seconds <= retry.max_age_hours * 3_600 + 1e-6
