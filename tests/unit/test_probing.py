"""Probes find a server that is back within seconds, and ask only for its greeting."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.outcome import Attempt, Phase, Trouble
from mailsluice.delivery.breaker import Breaker, BreakerSettings
from mailsluice.delivery.probing import Probing, delay_seconds, is_unreachable
from mailsluice.smtp.session import SessionError

REFUSED = Attempt(Phase.CONNECT, None, "connection refused")
SETTINGS = BreakerSettings(failures=2, rest_seconds=30.0, probes=3)


@dataclass
class World:
    """A server that answers from a moment on; time passes only while the code waits for it."""

    answers_at: float
    now: float = 0.0
    looks: list[float] = field(default_factory=list)
    is_wanted: bool = True
    changes: int = 0

    def __post_init__(self) -> None:
        self.breaker = Breaker(SETTINGS)
        self.breaker.succeeded()
        self.probing = Probing(
            "red",
            self.breaker,
            greets=self._greets,
            is_wanted=lambda: self.is_wanted,
            answered=self._found,
            clock=lambda: self.now,
            chance=lambda: 0.5,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def _greets(self) -> bool:
        self.looks.append(self.now)
        return self.now >= self.answers_at

    def _found(self) -> None:
        self.changes += 1

    def fail(self, attempt: Attempt = REFUSED) -> None:
        """Report that a session could not be opened."""
        self.breaker.failed(Trouble.SESSION, attempt.text, self.now, 0.5)
        self.probing.session_failed(SessionError(attempt))

    def rest(self) -> None:
        """Fail until the connection rests."""
        while not self.breaker.is_open:
            self.now = max(self.now, self.breaker.retry_at)
            self.fail()

    async def until_quiet(self) -> None:
        if self.probing._probing:
            await self.probing._probing


@given(st.integers(0, 1_000), st.floats(0, 1))
def test_probes_are_two_to_ten_seconds_apart(number: int, uniform: float) -> None:
    assert 2.0 <= delay_seconds(number, uniform) <= 10.0


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (REFUSED, True),
        (Attempt(Phase.CONNECT, None, "no answer in 60 s"), True),
        (Attempt(Phase.CONNECT, 421, "too many connections"), False),  # it was reached
        (Attempt(Phase.CONNECT, 554, "no"), False),
        (Attempt(Phase.CONNECT, None, "no such local name", refused_here=True), False),
        (Attempt(Phase.TLS, None, "handshake"), False),
        (Attempt(Phase.LOGIN, 535, "wrong password"), False),
        (Attempt(Phase.BODY, None, "link lost"), False),
    ],
)
def test_only_a_server_that_cannot_be_reached_is_probed(attempt: Attempt, expected: bool) -> None:
    assert is_unreachable(attempt) is expected


async def test_a_server_back_after_ten_seconds_is_found_within_ten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(answers_at=10.0)
    with caplog.at_level(logging.INFO):
        world.rest()
        await world.until_quiet()
    assert 10.0 <= world.now <= 20.0
    assert world.breaker.retry_at == world.now
    assert world.changes == 1
    assert len(caplog.records) == 2  # one line at the start, one when the server is back


async def test_a_rest_stays_as_long_if_the_server_does_not_come_back() -> None:
    world = World(answers_at=1e9)
    world.rest()
    ends = world.breaker.retry_at
    await world.until_quiet()
    assert world.breaker.retry_at == ends
    assert max(world.looks) < ends


async def test_a_session_that_fails_after_a_greeting_neither_counts_nor_ends_the_rest() -> None:
    """A server may greet and then fail: sessions are not tried more often than without probes."""
    world = World(answers_at=0.0)
    world.rest()
    ends, failures = world.breaker.retry_at, world.breaker.failures
    await world.until_quiet()
    world.fail()
    await world.until_quiet()
    assert (world.breaker.retry_at, world.breaker.failures) == (ends, failures)
    assert len(world.looks) == 1  # no more probes in this rest
    world.now = ends
    world.fail()
    assert world.breaker.failures == failures + 1


async def test_other_causes_leave_rests_as_they_are() -> None:
    world = World(answers_at=0.0)
    world.rest()
    await world.probing.close()
    world.probing = World(answers_at=0.0).probing
    world.fail(Attempt(Phase.CONNECT, 421, "too busy"))
    assert world.probing._probing is None


async def test_one_probe_runs_at_a_time_however_many_sessions_fail() -> None:
    world = World(answers_at=1e9)
    world.rest()
    looking = world.probing._probing
    for _ in range(5):
        world.probing.session_failed(SessionError(REFUSED))
    assert world.probing._probing is looking
    await world.probing.close()


async def test_a_run_that_stops_ends_the_probes() -> None:
    world = World(answers_at=1e9)
    world.rest()
    world.is_wanted = False
    await world.until_quiet()
    assert world.looks == []
    assert world.changes == 0
