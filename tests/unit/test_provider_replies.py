"""Replies that blame a mailbox provider slow that provider down, and not the connection."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sized
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.delivery.outcome_handler import OutcomeHandler, SessionHistory
from mailsluice.delivery.session_lengths import SessionLengths
from mailsluice.delivery.slowdown import Slowdown
from mailsluice.mailbox_providers import UNRESOLVED
from mailsluice.smtp.session import SessionError
from mailsluice.store import Claimed, Settled

GOOGLE, MICROSOFT, OTHERS, HOSTER, SECOND = 1, 2, 3, 4, 5
NAMES = {
    GOOGLE: "google",
    MICROSOFT: "microsoft-consumer",
    OTHERS: UNRESOLVED,
    HOSTER: "hoster.example",
    SECOND: "second.example",
}
TAKEN = Attempt(Phase.BODY, 250, "taken")
SLOWER = Attempt(Phase.RCPT, 450, "4.7.28 [192.0.2.1] an unusual rate of unsolicited mail - gsmtp")
CLOSING = SLOWER._replace(code=421)
BLOCKED = Attempt(Phase.RCPT, 550, "5.7.1 messages from [192.0.2.1] weren't sent (S3150).")
LISTED = Attempt(Phase.BODY, 554, "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1")


class FakeLanes(Sized):
    """Lanes with 200 recipients; half of them wait in the lane of any provider."""

    def __init__(self, slowdowns: defaultdict[int, Slowdown], waiting: deque[int]) -> None:
        self._slowdowns = slowdowns
        self._waiting = waiting

    def __len__(self) -> int:
        return 200

    def lane(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(slowdown=self._slowdowns[number], rows=range(100))

    def put_back(self, row: Claimed) -> None:
        self._waiting.appendleft(row.id)

    def put_last(self, row: Claimed) -> None:
        self._waiting.append(row.id)

    def expect(self, row: Claimed, delay_seconds: float) -> None:
        assert delay_seconds > 0


class Connection:
    """A connection that has sent 100 messages a second for ten seconds, half of them to Google."""

    def __init__(self, names: dict[int, str] = NAMES) -> None:
        self.now = 0.0
        self.settled: list[Settled] = []
        self.waiting: deque[int] = deque()
        self.slowdowns: defaultdict[int, Slowdown] = defaultdict(Slowdown)
        self.health = ConnectionHealth(
            "red", BreakerSettings(), clock=lambda: self.now, chance=lambda: 0.5
        )
        self.slowdowns[0] = self.health.slowdown
        store = SimpleNamespace(settle=self.settled.append)
        context = SimpleNamespace(
            store=store,
            chance=lambda: 0.5,
            clock=lambda: self.now,
        )
        state = SimpleNamespace(
            name="red",
            context=context,
            settings=SenderSettings(),
            health=self.health,
            providers=names,
            lanes=FakeLanes(self.slowdowns, self.waiting),
            session_lengths=SessionLengths(),
            accepted=0,
            is_stopping=False,
        )
        queue = SimpleNamespace(started=0, oldest=0, under_way=set, unrenderable=0)
        self.handler = OutcomeHandler(cast("Any", state), cast("Any", queue))
        for _ in range(1_000):
            self.health.slowdown.started(self.now)
            self.handle(HOSTER, TAKEN)
            self.now += 0.01
        self.settled.clear()

    def handle(
        self, provider: int, attempt: Attempt, session: SessionHistory | None = None
    ) -> SessionHistory:
        session = session or SessionHistory()
        row = Claimed(provider, "a@example.com", "{}", 0, 0.0, provider)
        self.handler.handle(row, attempt, session)
        return session

    @property
    def outcomes(self) -> list[tuple[int, str, int]]:
        """The provider, status and attempts of each decided recipient."""
        return [(one.id, str(one.status), one.attempts) for one in self.settled]

    def slow(self) -> set[int]:
        """The providers that get less mail; 0 is the connection."""
        return {number for number, one in self.slowdowns.items() if one.next_at > self.now}


@pytest.fixture
def connection() -> Connection:
    return Connection()


def test_the_provider_gets_half_of_its_mail_and_the_recipient_waits(connection: Connection) -> None:
    connection.handle(GOOGLE, SLOWER)
    assert connection.slow() == {GOOGLE}
    assert connection.slowdowns[GOOGLE].per_second(connection.now) == pytest.approx(25, rel=0.05)
    assert connection.outcomes == [(GOOGLE, RecipientStatus.DEFERRED, 1)]
    assert not connection.health.breaker.failures


def test_a_reply_that_ends_the_session_does_not_count_against_the_connection(
    connection: Connection,
) -> None:
    for _ in range(20):
        session = connection.handle(GOOGLE, CLOSING)
        connection.handle(HOSTER, Attempt(Phase.MAIL, None, "connection closed"), session)
        connection.health.session_lost(
            SessionError(CLOSING), 1, carried=session.carried > 0, blames=session.blames
        )
    assert connection.slow() == {GOOGLE}
    assert connection.health.breaker.failures == 0
    assert connection.health.session_at(0) <= connection.now
    assert set(connection.waiting) == {HOSTER}


def test_a_block_rests_the_provider_and_loses_nobody(connection: Connection) -> None:
    for _ in range(3):
        connection.handle(MICROSOFT, BLOCKED)
    assert connection.slow() == {MICROSOFT}
    assert connection.slowdowns[MICROSOFT].next_at >= connection.now + 1_800
    assert connection.outcomes == [(MICROSOFT, RecipientStatus.DEFERRED, 1)] * 3
    assert connection.health.down is None


def test_a_few_blocked_messages_among_many_only_slow_the_provider(connection: Connection) -> None:
    for _ in range(10):
        connection.handle(MICROSOFT, BLOCKED)
        connection.handle(MICROSOFT, BLOCKED)
        connection.handle(MICROSOFT, TAKEN)
    assert connection.slow() == {MICROSOFT}
    assert connection.slowdowns[MICROSOFT].next_at < connection.now + 1


def test_a_provider_recovers_when_it_takes_mail(connection: Connection) -> None:
    for _ in range(3):
        connection.handle(MICROSOFT, BLOCKED)
    connection.handle(GOOGLE, TAKEN)
    assert connection.slowdowns[MICROSOFT].rests == 1
    connection.now += 1_800
    connection.handle(MICROSOFT, TAKEN)
    assert connection.slowdowns[MICROSOFT].rests == 0


def test_a_reply_about_one_mailbox_slows_nobody(connection: Connection) -> None:
    text = "4.2.1 The user you are trying to contact is receiving mail at a rate that"
    connection.handle(GOOGLE, Attempt(Phase.RCPT, 450, text))
    assert connection.slow() == set()
    assert connection.outcomes == [(GOOGLE, RecipientStatus.DEFERRED, 1)]


@pytest.mark.parametrize("provider", [GOOGLE, HOSTER])
def test_mail_names_no_recipient(provider: int, connection: Connection) -> None:
    """A relay speaks of itself; a provider's server may refuse mail before it knows for whom."""
    connection.handle(provider, SLOWER._replace(phase=Phase.MAIL))
    assert connection.slow() == ({GOOGLE} if provider == GOOGLE else {0})


def test_a_recipient_of_an_unknown_provider_slows_the_one_that_is_named(
    connection: Connection,
) -> None:
    connection.handle(OTHERS, SLOWER)
    assert connection.slow() == {GOOGLE, OTHERS}
    assert connection.outcomes == [(OTHERS, RecipientStatus.DEFERRED, 1)]


def test_no_server_of_an_unknown_provider_lets_another_provider_rest(
    connection: Connection,
) -> None:
    for _ in range(5):
        connection.handle(OTHERS, SLOWER._replace(code=550))
    assert connection.slow() == {GOOGLE, OTHERS}
    assert connection.slowdowns[GOOGLE].rests == 0
    assert connection.slowdowns[GOOGLE].next_at < connection.now + 60


def test_recipients_of_unknown_providers_never_rest_together(connection: Connection) -> None:
    for _ in range(5):
        connection.handle(OTHERS, LISTED)
    assert connection.slow() == {OTHERS}
    assert connection.slowdowns[OTHERS].next_at < connection.now + 60


def test_where_many_providers_are_blamed_the_connection_is(connection: Connection) -> None:
    for provider in (GOOGLE, MICROSOFT, HOSTER):
        connection.handle(provider, LISTED)
    assert len(connection.outcomes) == 3
    connection.handle(SECOND, LISTED)
    assert len(connection.outcomes) == 3  # held, until it is clear whether everybody is refused
    connection.handle(GOOGLE, TAKEN)
    connection.handle(SECOND, LISTED)
    assert (SECOND, RecipientStatus.DEFERRED, 1) in connection.outcomes


def test_campaigns_without_providers_are_judged_as_before() -> None:
    connection = Connection(names={})
    connection.handle(0, SLOWER)
    assert connection.slow() == {0}
