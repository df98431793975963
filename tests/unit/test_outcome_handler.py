"""How the end of a session affects the recipient at which it ended."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.delivery.outcome_handler import OutcomeHandler, SessionHistory
from mailsluice.store import Claimed, Settled

TAKEN = Attempt(Phase.BODY, 250, "taken")
CLOSED = Attempt(Phase.MAIL, None, "connection closed")
BUSY = Attempt(Phase.MAIL, 421, "4.3.2 too busy")


class FakeParts:
    """Claimed recipients, queue and store, as far as an outcome handler needs them."""

    unrenderable = 0

    def __init__(self) -> None:
        self.waiting: deque[int] = deque()
        self.settled: list[Settled] = []

    def put_back(self, row: Claimed) -> None:
        self.waiting.appendleft(row.id)

    def put_last(self, row: Claimed) -> None:
        self.waiting.append(row.id)

    def expect(self, row: Claimed, delay_seconds: float) -> None:
        assert delay_seconds > 0

    def under_way(self) -> set[int]:
        return set()

    def settle(self, settled: Settled) -> None:
        self.settled.append(settled)


@pytest.fixture
def parts() -> FakeParts:
    return FakeParts()


@pytest.fixture
def handler(parts: FakeParts) -> OutcomeHandler:
    health = ConnectionHealth("red", BreakerSettings(), clock=lambda: 0.0, chance=lambda: 0.5)
    state = SimpleNamespace(
        name="red",
        context=SimpleNamespace(store=parts, chance=lambda: 0.5),
        settings=SenderSettings(),
        health=health,
        lanes=parts,
        providers={},
        accepted=0,
        is_stopping=False,
    )
    return OutcomeHandler(cast("Any", state), cast("Any", parts))


def row(number: int) -> Claimed:
    return Claimed(number, f"user{number}@example.com", "{}", 0, 0.0)


def session_of(handler: OutcomeHandler, carries: int) -> SessionHistory:
    """Give a session in which the server has taken so many messages."""
    session = SessionHistory()
    for number in range(carries):
        handler.handle(row(1_000 + number), TAKEN, session)
    return session


@pytest.mark.parametrize("carries", [1, 3])
def test_a_server_that_ends_sessions_after_so_many_is_not_the_recipients_fault(
    parts: FakeParts, handler: OutcomeHandler, carries: int
) -> None:
    for _ in range(50):
        handler.handle(row(1), CLOSED, session_of(handler, carries))
        assert parts.waiting.popleft() == 1
    assert {one.status for one in parts.settled} == {RecipientStatus.SENT}


def test_a_recipient_that_breaks_sessions_is_deferred(
    parts: FakeParts, handler: OutcomeHandler
) -> None:
    session_of(handler, 5)
    for _ in range(9):
        handler.handle(row(1), CLOSED, session_of(handler, 2))
    assert [(one.id, one.attempts) for one in parts.settled if one.code is None] == [(1, 1)]
    assert handler.tally().deferrals == 1


def test_a_session_that_breaks_at_its_first_recipient_costs_more_points(
    parts: FakeParts, handler: OutcomeHandler
) -> None:
    for _ in range(3):
        handler.handle(row(1), CLOSED, SessionHistory())
    assert [one.id for one in parts.settled] == [1]
    assert list(parts.waiting) == [1, 1]


def test_a_server_that_is_busy_before_it_knows_the_recipient_blames_nobody(
    parts: FakeParts, handler: OutcomeHandler
) -> None:
    """Also where the store is slow, so that no other recipient is there to be tried meanwhile."""
    session_of(handler, 5)
    for _ in range(9):
        session = SessionHistory()
        handler.handle(row(1), BUSY, session)
        assert not session.blames
    assert {one.status for one in parts.settled} == {RecipientStatus.SENT}
    assert handler.tally().deferrals == 0


def test_a_sender_address_that_ends_sessions_while_others_are_accepted_is_blamed(
    parts: FakeParts, handler: OutcomeHandler
) -> None:
    """Return paths differ by recipient, so a reply to MAIL may be about one of them."""
    for number in range(4):
        handler.handle(row(1), BUSY, SessionHistory())
        handler.handle(row(100 + number), TAKEN, SessionHistory())
    assert [one.id for one in parts.settled if one.status is RecipientStatus.DEFERRED] == [1]


def test_a_reply_out_of_sequence_ends_its_session_and_costs_those_behind_it_nothing(
    parts: FakeParts, handler: OutcomeHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Client and server disagree about the dialogue, which begins anew in another session."""
    spent: list[SessionHistory] = []

    def spend(session: SessionHistory) -> None:
        spent.append(session)

    monkeypatch.setattr(SessionHistory, "spend", spend)
    session = session_of(handler, 2)
    for number in range(20):  # those behind the first were on their way
        handler.handle(row(number), Attempt(Phase.RCPT, 503, "5.5.1 bad sequence"), session)
    assert spent == [session]
    assert sorted(parts.waiting) == list(range(20))
    assert handler.tally().deferrals == 0
