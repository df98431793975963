"""When the breaker lets a connection be tried, rests it, and takes it down."""

from __future__ import annotations

from mailsluice.core.outcome import Trouble
from mailsluice.delivery.breaker import Breaker, BreakerSettings
from mailsluice.smtp.connection import Connection

SETTINGS = BreakerSettings(failures=3, first_delay_seconds=1, max_delay_seconds=8, probes=2)


def fail(breaker: Breaker, times: int = 1, trouble: Trouble = Trouble.SESSION) -> None:
    """Fail so often, each time as soon as it may be tried again."""
    for _ in range(times):
        breaker.failed(trouble, "link lost", breaker.retry_at, 1.0)


def test_a_wrong_setting_takes_the_connection_down_at_once() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, trouble=Trouble.DOWN)
    assert breaker.down == "link lost"


def test_delays_double_from_failure_to_failure() -> None:
    breaker = Breaker(SETTINGS)
    breaker.succeeded()
    fail(breaker)
    first = breaker.retry_at
    fail(breaker)
    assert (first, breaker.retry_at - first) == (1.0, 2.0)


def test_failures_at_the_same_time_are_one() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(20):
        breaker.failed(Trouble.SESSION, "link lost", 0.0, 1.0)
    assert breaker.failures == 1


def test_a_rest_is_timed_from_the_failure_that_opened_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.opened_at is None
    at = breaker.retry_at
    fail(breaker, 2)  # the second one is a failed probe
    assert breaker.opened_at == at
    breaker.succeeded()
    assert breaker.opened_at is None


def test_a_connection_that_never_worked_goes_down_without_probes() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 2)
    assert breaker.down is None
    fail(breaker)
    assert breaker.down == "link lost"


def test_a_connection_that_worked_before_rests_and_is_probed() -> None:
    breaker = Breaker(SETTINGS)
    breaker.succeeded()
    fail(breaker, 3)
    assert breaker.is_open
    assert breaker.down is None
    fail(breaker)
    assert breaker.down is None
    fail(breaker)
    assert breaker.down == "link lost"


def test_a_successful_probe_closes_the_breaker() -> None:
    breaker = Breaker(SETTINGS)
    breaker.succeeded()
    fail(breaker, 3)
    breaker.succeeded()
    assert not breaker.is_open
    fail(breaker, 2)
    assert breaker.down is None


def test_a_connection_to_a_busy_server_is_probed_although_it_never_worked() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 3, Trouble.THROTTLED)
    assert breaker.is_open
    assert breaker.down is None
    fail(breaker, 2, Trouble.THROTTLED)
    assert breaker.down == "link lost"


def test_a_connection_without_a_cool_down_keeps_the_settings() -> None:
    assert SETTINGS.of(Connection("red", "localhost", 25)) == SETTINGS


def test_a_cool_down_after_one_failure_is_kept_and_doubles() -> None:
    """As where a provider asks senders to wait for five minutes after a 421."""
    connection = Connection("red", "localhost", 25, cool_down_seconds=300, cool_down_after=1)
    breaker = Breaker(SETTINGS.of(connection))
    breaker.failed(Trouble.THROTTLED, "421 come back later", 10.0, 0.0)
    assert (breaker.is_open, breaker.retry_at) == (True, 310.0)
    breaker.server_answers(20.0)
    assert breaker.retry_at == 310.0
    breaker.failed(Trouble.THROTTLED, "421 come back later", 310.0, 0.0)
    assert breaker.retry_at == 910.0


def test_the_first_failure_of_all_takes_no_connection_down() -> None:
    breaker = Breaker(SETTINGS.of(Connection("red", "localhost", 25, cool_down_after=1)))
    fail(breaker)
    assert (breaker.is_open, breaker.down) == (True, None)
    fail(breaker)
    assert breaker.down == "link lost"
