"""What a session that ends means for its connection."""

from __future__ import annotations

import math

import pytest

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.smtp.session import SessionError

LESS_MAIL = Attempt(Phase.MAIL, 421, "4.7.0 too many messages")
BROKE = Attempt(Phase.RCPT, None, "the link broke")
TOO_MANY = Attempt(Phase.CONNECT, 421, "4.7.0 too many connections")
REFUSED_LOGIN = Attempt(Phase.LOGIN, 535, "5.7.8 wrong password")


@pytest.fixture
def health() -> ConnectionHealth:
    health = ConnectionHealth("red", BreakerSettings(), clock=lambda: 10.0, chance=lambda: 0.5)
    health.slowdown.started(9.0)  # a pace to be slowed down
    return health


@pytest.mark.parametrize(
    ("attempt", "carried", "blames", "is_slowed", "failures"),
    [
        # The server asks for less mail in a session that has carried none.
        (LESS_MAIL, False, False, True, 1),
        # After some mail, servers end sessions with the same words.
        (LESS_MAIL, True, False, False, 0),
        # The recipient had cost a session before.
        (LESS_MAIL, False, True, False, 0),
        (BROKE, False, False, False, 1),
        (BROKE, True, False, False, 0),
        (BROKE, False, True, False, 0),
        # The only session is refused: less of everything.
        (TOO_MANY, False, False, True, 1),
    ],
)
def test_what_the_end_of_the_only_session_counts_for(
    health: ConnectionHealth,
    attempt: Attempt,
    carried: bool,
    blames: bool,
    is_slowed: bool,
    failures: int,
) -> None:
    health.session_lost(SessionError(attempt), 1, carried=carried, blames=blames)
    assert (health.slowdown.is_slow, health.breaker.failures) == (is_slowed, failures)
    assert health.down is None


def test_a_refused_session_beside_others_bounds_their_number_for_a_while(
    health: ConnectionHealth,
) -> None:
    health.session_lost(SessionError(TOO_MANY), 4, carried=False, blames=False)
    assert (health.slowdown.is_slow, health.breaker.failures) == (False, 0)
    assert health.session_at(3) > 10.0
    assert health.session_at(4) == math.inf
    assert health.session_at(2) <= 10.0


def test_a_refused_login_takes_the_connection_down(health: ConnectionHealth) -> None:
    health.session_lost(SessionError(REFUSED_LOGIN), 4, carried=True, blames=True)
    assert health.down is not None
    assert "wrong password" in health.down
