"""The send loop of one connection: hands recipients to sessions, paced, and records the outcomes.

Everything here runs on one event loop, and nothing in it waits for the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from mailsluice.campaign import Retry, UncertainPolicy
from mailsluice.envelope import Envelope
from mailsluice.errors import MessageError
from mailsluice.journal import Journal
from mailsluice.message import CompiledMessage
from mailsluice.outbox import Claimed, Settled
from mailsluice.outcome import Attempt, Phase, Trouble, Verdict, classify
from mailsluice.pacing import Pacer
from mailsluice.sending.bookkeeper import Bookkeeper
from mailsluice.sending.breaker import Breaker, BreakerSettings
from mailsluice.sending.decision import settle
from mailsluice.sending.stock import Stock
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Session, SessionError
from mailsluice.status import RecipientStatus

logger = logging.getLogger(__name__)

OpenSession = Callable[[Connection], Awaitable[Session]]

_IDLE_SECONDS = 20.0  # a session without mail for longer than that is closed rather than held
_LOGIN_SECONDS = 1.0  # a session is opened so long before its first message may go
_LEASE_POLL_SECONDS = 0.5
_POISON = 3  # sessions that one recipient may cost before that counts as its own trouble


@dataclass(frozen=True, slots=True)
class Settings:
    """How a courier deals with trouble."""

    retry: Retry = field(default_factory=Retry)
    uncertain: UncertainPolicy = UncertainPolicy.HOLD
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    stop_seconds: float = 30.0
    """How long messages in flight may take when the run stops."""


class Courier:
    """Sends to the recipients of one connection; the feed of all its sessions."""

    def __init__(
        self,
        connection: Connection,
        message: CompiledMessage,
        bookkeeper: Bookkeeper,
        journal: Journal,
        *,
        open_session: OpenSession,
        may_send: Callable[[], bool] = lambda: True,
        pacers: Sequence[Pacer] = (),
        settings: Settings | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connection = connection
        self._message = message
        self._bookkeeper = bookkeeper
        self._journal = journal
        self._open_session = open_session
        self._may_send = may_send
        self._pacers = pacers
        self._settings = settings or Settings()
        self._clock = clock
        self._chance = chance
        self._breaker = Breaker(self._settings.breaker)
        self._stock = Stock(
            connection.name,
            bookkeeper,
            sessions=connection.max_sessions,
            clock=clock,
            changed=self._on_change,
        )
        self._in_flight: dict[int, Claimed] = {}
        self._waiters: deque[asyncio.Future[Envelope | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._sessions = 0
        self._stopped = asyncio.Event()
        self._sessions_lost: Counter[int] = Counter()
        self.sent = 0
        """Messages accepted so far."""

    @property
    def down(self) -> str | None:
        """Why the connection was given up in this run; None while it works."""
        return self._breaker.down

    async def run(self) -> None:
        """Send until nothing is left, the connection is down, or `stop` is called.

        What was claimed and not sent to is given back. Raises OutboxError where outcomes cannot be
        recorded any more.
        """
        workers = [
            asyncio.ensure_future(self._work()) for _ in range(self._connection.max_sessions)
        ]
        everything = asyncio.gather(*workers)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            either: set[asyncio.Future[Any]] = {everything, stopped}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping:
                await asyncio.wait({everything}, timeout=self._settings.stop_seconds)
            if everything.done():
                everything.result()
        finally:
            self._stopped.set()
            stopped.cancel()
            everything.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._stock.close()
        await self._bookkeeper.flush()
        if self._stock.failure:
            raise self._stock.failure

    def stop(self) -> None:
        """Give out no more mail; `run` returns when what is in flight is settled."""
        self._stopped.set()
        self._on_change()

    # Sessions

    async def _work(self) -> None:
        """Open one session after the other, while there is mail."""
        while await self._is_worth_a_session():
            self._sessions += 1
            try:
                session = await self._open_session(self._connection)
                await session.send(self)
            except SessionError as error:
                self._trouble(classify(error.attempt).trouble, str(error))
            finally:
                self._sessions -= 1
                self._on_change()

    async def _is_worth_a_session(self) -> bool:
        """Wait until there is mail for one more session. False: there will be none."""
        while not self._is_over:
            now = self._clock()
            ready_at = max(self._breaker.retry_at, self._mail_at(now) - _LOGIN_SECONDS)
            probing = self._breaker.is_open and self._sessions > 0
            if ready_at <= now and not probing and self._sessions < len(self._stock):
                return True
            timeout = ready_at - now if now < ready_at < math.inf else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout)
        return False

    def _trouble(self, trouble: Trouble, reason: str) -> None:
        if trouble is Trouble.NONE:
            return
        self._breaker.failed(trouble, reason, self._clock(), self._chance())
        if self.down:
            logger.error("connection %s is down: %s", self._connection.name, self.down)

    # The feed

    async def next(self) -> Envelope | None:
        if not self._waiters and (envelope := self.next_nowait()):
            return envelope
        waiter: asyncio.Future[Envelope | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (given := waiter.result()):
                self._stock.put_back(self._landed(given))
            raise

    def next_nowait(self) -> Envelope | None:
        while not (self._stopping or self.down):
            now = self._clock()
            if self._pace(now) > now:
                return None
            row = self._stock.take()
            if row is None:
                return None
            try:
                envelope = self._message.render(row.id, row.email, orjson.loads(row.variables))
            except MessageError as error:
                failed = RecipientStatus.FAILED
                self._bookkeeper.settle(Settled(row.id, failed, row.attempts, reply=str(error)))
                continue
            for pacer in self._pacers:
                pacer.started(now)
            self._in_flight[row.id] = row
            return envelope
        return None

    def dot(self, envelope: Envelope) -> None:
        self._journal.dot(envelope.recipient_id)

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        if attempt.phase is Phase.BODY and attempt.code is not None:
            self._journal.reply(envelope.recipient_id, attempt.code)
        self._record(self._landed(envelope), attempt)
        if self._waiters:
            self._serve()

    def _landed(self, envelope: Envelope) -> Claimed:
        if self._pacers:
            now = self._clock()
            for pacer in self._pacers:
                pacer.finished(now)
        return self._in_flight.pop(envelope.recipient_id)

    def _record(self, row: Claimed, attempt: Attempt) -> None:
        outcome = classify(attempt)
        verdict = outcome.verdict
        if outcome.trouble is Trouble.DOWN:
            self._trouble(outcome.trouble, f"{attempt.phase.value}: {attempt.code} {attempt.text}")
        if verdict is Verdict.UNTOUCHED:
            self._sessions_lost[row.id] += 1
            if self.down or self._sessions_lost[row.id] < _POISON:
                self._stock.put_back(row)
                return
            verdict = Verdict.DEFERRED
        elif self._breaker.failures:
            self._breaker.succeeded()
        settled = settle(
            row,
            attempt,
            verdict,
            connection=self._connection.name,
            retries=self._settings.retry,
            policy=self._settings.uncertain,
            uniform=self._chance(),
        )
        self._bookkeeper.settle(settled)
        self.sent += verdict is Verdict.ACCEPTED
        if settled.delay_seconds is not None:
            self._stock.expect(settled.delay_seconds)

    # Waiting

    @property
    def _stopping(self) -> bool:
        return self._stopped.is_set()

    @property
    def _is_over(self) -> bool:
        if self._stopping or self.down or self._stock.failure:
            return True
        return not self._in_flight and self._stock.is_exhausted

    def _pace(self, now: float) -> float:
        if not self._may_send():
            return now + _LEASE_POLL_SECONDS
        return max((pacer.ready_at(now) for pacer in self._pacers), default=now)

    def _mail_at(self, now: float) -> float:
        """When the next message may go, as far as that is known."""
        if len(self._stock):
            return self._pace(now)
        self._stock.refill()
        return max(now, self._stock.due_at)

    def _serve(self) -> None:
        """Give waiting sessions their mail, or tell them to end."""
        while self._waiters:
            if self._waiters[0].done():  # its session is gone
                self._waiters.popleft()
                continue
            envelope = self.next_nowait()
            if envelope is None and not self._is_idle():
                return
            self._waiters.popleft().set_result(envelope)

    def _is_idle(self) -> bool:
        """Whether sessions should end rather than wait; else a timer serves them in time."""
        if self._is_over:
            return True
        now = self._clock()
        mail_at = self._mail_at(now)
        if mail_at < math.inf:
            if mail_at - now > _IDLE_SECONDS:
                return True
            if self._timer:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(mail_at - now, self._serve)
        return False

    def _on_change(self) -> None:
        self._serve()
        self._changed.set()
        self._changed = asyncio.Event()
