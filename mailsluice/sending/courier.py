"""The send loop of one connection: hands recipients to sessions, paced, and records the outcomes.

Everything here runs on one event loop, and nothing in it waits for the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from mailsluice.sending.breaker import BreakerSettings
from mailsluice.sending.decision import settle
from mailsluice.sending.health import Health
from mailsluice.sending.stock import Stock
from mailsluice.sending.suspects import Suspects
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Session, SessionError
from mailsluice.status import RecipientStatus

OpenSession = Callable[[Connection], Awaitable[Session]]

_IDLE_SECONDS = 20.0  # a session without mail for longer than that is closed rather than held
_LOGIN_SECONDS = 1.0  # a session is opened so long before its first message may go
_POLL_SECONDS = 0.5
_CANCEL_SECONDS = 0.05
_POISON = 9  # what a recipient may cost before that counts as its own trouble: a session that had
_FRESH, _PROVEN = 3, 1  # carried no mail before it counts for more than one that had
_CLOSING = 421


@dataclass(frozen=True, slots=True)
class Settings:
    """How a courier deals with trouble."""

    retry: Retry = field(default_factory=Retry)
    uncertain: UncertainPolicy = UncertainPolicy.HOLD
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    stop_seconds: float = 20.0
    """How long messages in flight may take when the run stops."""


class _SessionFeed:
    """The courier, as one of its sessions sees it. Implements `Feed`."""

    __slots__ = ("_settled", "blames", "carried", "dot", "is_over", "next", "next_nowait")

    def __init__(self, courier: Courier) -> None:
        self.next = courier.next
        self.next_nowait = courier.next_nowait
        self.dot = courier.dot
        self._settled = courier.settled
        self.carried = False
        """Whether the server has dealt with a recipient in this session."""
        self.blames = False
        """Whether it ended at a recipient that had cost a session before."""
        self.is_over = False
        """Whether it has ended at one recipient; others in flight are not to blame."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        self._settled(envelope, attempt, self)


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
        self._health = Health(
            connection.name,
            self._settings.breaker,
            limit_per_second=min((one.per_second for one in pacers), default=math.inf),
            clock=clock,
            chance=chance,
        )
        self._suspects = Suspects()
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
        self._cost: Counter[int] = Counter()
        self.sent = 0
        """Messages accepted so far."""

    @property
    def down(self) -> str | None:
        """Why the connection was given up in this run; None while it works."""
        return self._health.down

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
            if self._suspects and not self._stopping:
                self._give_up()
        finally:
            self._stopped.set()
            stopped.cancel()
            everything.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self._put_back_suspects()
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
            feed = _SessionFeed(self)
            try:
                if session := await self._open():
                    await session.send(feed)
            except SessionError as error:
                self._health.session_lost(
                    error, self._sessions, carried=feed.carried, blames=feed.blames
                )
            finally:
                self._sessions -= 1
                self._on_change()

    async def _open(self) -> Session | None:
        """A session; None where the run stops meanwhile: there is no mail in it to wait for."""
        opening = asyncio.ensure_future(self._open_session(self._connection))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            either: set[asyncio.Future[Any]] = {opening, stopped}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return opening.result() if opening.done() else None
        finally:
            stopped.cancel()
            if not opening.done():
                await _abandon(opening)

    async def _is_worth_a_session(self) -> bool:
        """Wait until there is mail for one more session. False: there will be none."""
        while not self._is_over:
            now = self._clock()
            mail_at = self._mail_at(now)
            if len(self._stock):
                mail_at -= _LOGIN_SECONDS
            ready_at = max(mail_at, self._health.session_at(self._sessions))
            if ready_at <= now and self._sessions < len(self._stock):
                return True
            timeout = ready_at - now if now < ready_at < math.inf else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout)
        return False

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
            self._health.slowdown.started(now)
            self._in_flight[row.id] = row
            return envelope
        return None

    def dot(self, envelope: Envelope) -> None:
        self._journal.dot(envelope.recipient_id)

    def settled(self, envelope: Envelope, attempt: Attempt, feed: _SessionFeed) -> None:
        if attempt.phase is Phase.BODY and attempt.code is not None:
            self._journal.reply(envelope.recipient_id, attempt.code)
        self._book(self._landed(envelope), attempt, feed)
        if self._waiters:
            self._serve()

    def _landed(self, envelope: Envelope) -> Claimed:
        if self._pacers:
            now = self._clock()
            for pacer in self._pacers:
                pacer.finished(now)
        return self._in_flight.pop(envelope.recipient_id)

    def _book(self, row: Claimed, attempt: Attempt, feed: _SessionFeed) -> None:
        outcome = classify(attempt)
        verdict, trouble = outcome.verdict, outcome.trouble
        if trouble is Trouble.DOWN:
            self._suspect(row, attempt)
        elif verdict is Verdict.UNTOUCHED:
            self._put_back(row, attempt, trouble, feed)
        else:
            if trouble is Trouble.THROTTLED:
                self._health.throttled()
            if verdict is Verdict.UNCERTAIN:
                feed.is_over = True
            else:
                feed.carried = True
                self._health.breaker.succeeded()
            self._record(row, attempt, verdict)
            if self._suspects and verdict is Verdict.ACCEPTED:
                for other, refusal in self._suspects.clear():
                    self._record(other, refusal, Verdict.FAILED)

    def _put_back(
        self, row: Claimed, attempt: Attempt, trouble: Trouble, feed: _SessionFeed
    ) -> None:
        """The recipient's turn comes again; not for ever, where it may be to blame itself."""
        if feed.is_over:
            self._stock.put_back(row)
            return
        goes_on = attempt.code is not None and attempt.code != _CLOSING
        feed.is_over = not goes_on
        names_nobody = goes_on and attempt.phase is Phase.MAIL
        is_known = (self._cost[row.id] or row.attempts) and not names_nobody
        feed.blames = bool(is_known) and self._health.breaker.has_worked
        if trouble is Trouble.THROTTLED and (goes_on or not feed.carried) and not is_known:
            self._health.throttled()
        if goes_on and not feed.blames:
            self._health.refuses_everybody(trouble, SessionError(attempt))
        if not (self._stopping or self.down or names_nobody):
            self._cost[row.id] += _PROVEN if feed.carried else _FRESH
        if self._cost[row.id] >= _POISON:
            del self._cost[row.id]
            self._record(row, attempt, Verdict.DEFERRED)
        elif feed.carried:
            self._stock.put_back(row)
        else:
            self._stock.put_last(row)

    def _suspect(self, row: Claimed, attempt: Attempt) -> None:
        self._suspects.add(row, attempt)
        if self._suspects.connection_is_down:
            self._give_up()

    def _give_up(self) -> None:
        """Nothing was accepted after the suspects: it is not they, it is the connection."""
        self._health.failed(Trouble.DOWN, SessionError(self._suspects.last))
        self._put_back_suspects()

    def _put_back_suspects(self) -> None:
        for row, _ in self._suspects.clear():
            self._stock.put_back(row)

    def _record(self, row: Claimed, attempt: Attempt, verdict: Verdict) -> None:
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
            return now + _POLL_SECONDS
        ready = max(now, self._health.slowdown.next_at)
        for pacer in self._pacers:
            ready = max(ready, pacer.ready_at(now))
        if ready == math.inf and not self._in_flight:
            return now + _POLL_SECONDS  # another connection's reply makes room: nobody tells us
        return ready

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


async def _abandon(opening: asyncio.Future[Session]) -> None:
    """End the opening of a session, however often it takes: wait_for of Python 3.11 swallows a
    cancellation that comes together with its result.
    """
    while not opening.done():
        opening.cancel()
        await asyncio.wait({opening}, timeout=_CANCEL_SECONDS)
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
