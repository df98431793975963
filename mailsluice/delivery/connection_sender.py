"""The sessions of one connection: opened, fed and closed.

Everything here runs on one event loop, and nothing in it waits for the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mailsluice.campaign import Retry, UncertainPolicy
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import OutboxError
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.steady import steady
from mailsluice.delivery.bookkeeper import Bookkeeper
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.claimed_recipients import ClaimedRecipients
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.outcome_handler import OutcomeHandler, SessionHistory
from mailsluice.delivery.probing import Probing
from mailsluice.delivery.rule_book import named
from mailsluice.delivery.starts import StartStock
from mailsluice.limits import Rules
from mailsluice.message import CompiledMessage
from mailsluice.reports.progress import ConnectionFacts, Tally
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.greeting import greets
from mailsluice.smtp.session import IdleEndError, OutOfStepError, Session, SessionError

OpenSession = Callable[[Connection], Awaitable[Session]]

logger = logging.getLogger(__name__)

_LOGIN_SECONDS = 1.0  # a session is opened so long before its first message may go
_CANCEL_SECONDS = 0.05
_REFUSED = 400
_SOON_SECONDS = 20.0  # deferred recipients due sooner may show whether a connection works


@dataclass(frozen=True, slots=True)
class Settings:
    """How a connection sender deals with trouble."""

    retry: Retry = field(default_factory=Retry)
    uncertain: UncertainPolicy = UncertainPolicy.HOLD
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    stop_seconds: float = 20.0
    """How long messages in flight may take when the run stops."""


class _SessionFeed(SessionHistory):
    """The sender, as one of its sessions sees it. Implements `Feed`."""

    __slots__ = ("_settled", "dot", "next", "next_nowait")

    def __init__(self, sender: ConnectionSender) -> None:
        super().__init__()
        self.next = sender.queue.next
        self.next_nowait = sender.queue.next_nowait
        self.dot = sender.dot
        self._settled = sender.settled

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        self._settled(envelope, attempt, self)

    def spend(self) -> None:
        self.next, self.next_nowait = _nothing, _nothing_now


async def _nothing() -> None:
    """No more mail for this session."""


def _nothing_now() -> None:
    """The same, for a session that looks ahead."""


class ConnectionSender:
    """Sends to the recipients of one connection; the feed of all its sessions."""

    def __init__(
        self,
        connection: Connection,
        message: CompiledMessage,
        bookkeeper: Bookkeeper,
        journal: Journal,
        *,
        holder: str,
        open_session: OpenSession,
        rules: Mapping[str, Rules] | None = None,
        opens_at: Callable[[float], float] = lambda now: now,
        settings: Settings | None = None,
        clock: Callable[[], float] = steady,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`rules` are the limits it falls under, by the key that others share with it; `holder`
        tells it from those. `opens_at` gives the moment, this one or later, from which mail may go.
        """
        self._connection = connection
        self._bookkeeper = bookkeeper
        self._journal = journal
        self._open_session = open_session
        self._settings = settings or Settings()
        self._clock = clock
        self._chance = chance
        self._stopped = asyncio.Event()
        self._starts = StartStock(holder, bookkeeper, clock=clock, changed=self._on_change)
        self._health = ConnectionHealth(
            connection.name, self._settings.breaker, clock=clock, chance=chance
        )
        self._stock = ClaimedRecipients(
            connection.name,
            bookkeeper,
            sessions=connection.max_sessions,
            clock=clock,
            changed=self._on_change,
        )
        self.queue = EnvelopeQueue(
            message,
            bookkeeper,
            self._stock,
            self._starts,
            self._health.slowdown,
            has_ended=self._has_ended,
            opens_at=opens_at,
            clock=clock,
        )
        self._outcomes = OutcomeHandler(
            connection.name,
            bookkeeper,
            self._stock,
            self.queue,
            self._health,
            retry=self._settings.retry,
            uncertain=self._settings.uncertain,
            is_stopping=self._stopped.is_set,
            chance=chance,
        )
        self._probing = Probing(
            connection.name,
            self._health.breaker,
            greets=lambda: greets(self._connection),
            is_wanted=lambda: not self.queue.is_over,
            found=self._on_change,
            clock=clock,
            chance=chance,
        )
        self._workers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._concluding: asyncio.Task[None] | None = None
        self._sessions = 0
        self._logged_in = 0
        self._follow(rules or {})

    @property
    def down(self) -> str | None:
        """Why the connection was given up in this run; None while it works."""
        return self._health.down

    @property
    def sent(self) -> int:
        """Messages accepted so far."""
        return self._outcomes.accepted

    def next_at(self, now: float) -> float:
        """When this connection has something to do: now, later, or never (infinity)."""
        if self.queue.is_over:
            return math.inf
        if self._sessions:
            return now
        at = max(self.queue.mail_at(now), self._health.session_at(0))
        return now if at == math.inf else at  # it waits for an answer, and will know then

    def tally(self) -> Tally:
        """What became of recipients here."""
        return self._outcomes.tally()

    def facts(self, now: float) -> ConnectionFacts:
        """All that says what this connection waits for."""
        breaker, slowdown = self._health.breaker, self._health.slowdown
        held = self._starts.held()
        return ConnectionFacts(
            is_stopping=self._stopping,
            is_over=self._stock.is_exhausted and not self.queue.in_flight,
            down=self.down,
            in_stock=len(self._stock),
            due_at=self._stock.due_at,
            in_flight=self.queue.in_flight,
            sessions=self._logged_in,
            session_at=breaker.retry_at,
            is_resting=breaker.is_open,
            trouble=breaker.trouble,
            slowed_until=slowdown.next_at,
            per_second=slowdown.per_second(now),
            limited_until=held[1] if held else -math.inf,
            limit=named(held[0]) if held else "",
        )

    async def run(self) -> None:
        """Send until nothing is left, the connection is down, or `stop` is called.

        What was claimed and not sent to is given back. Raises OutboxError where outcomes cannot be
        recorded any more.
        """
        stopped = asyncio.ensure_future(self._stopped.wait())
        self._hire()
        try:
            while self._workers and not self._stopping:
                await asyncio.wait({*self._workers, stopped}, return_when=asyncio.FIRST_COMPLETED)
                self._dismiss()
            if self._workers:
                await asyncio.wait(self._workers, timeout=self._settings.stop_seconds)
                self._dismiss()
        finally:
            self._stopped.set()
            stopped.cancel()
            await self._probing.close()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            if self._concluding:
                await self._concluding
            self._outcomes.put_back_suspects()
            await self._stock.close()
            await self._starts.close()
        await self._bookkeeper.flush()
        if self.queue.failure:
            raise self.queue.failure

    def stop(self) -> None:
        """Give out no more mail; `run` returns when what is in flight is settled."""
        self._stopped.set()
        self._on_change()

    def update(self, connection: Connection, rules: Mapping[str, Rules]) -> None:
        """Another number of sessions, other limits: from the next session, the next message on."""
        self._connection = connection
        self._follow(rules)
        if not self._stopping:
            self._hire()
        self._on_change()

    def _follow(self, rules: Mapping[str, Rules]) -> None:
        self._starts.follow(rules)
        self._health.slowdown.limit_per_second = self._starts.per_second

    # Sessions

    def _hire(self) -> None:
        """A worker a session; those beyond the limit find nothing to do."""
        for _ in range(len(self._workers), self._connection.max_sessions):
            self._workers.add(asyncio.ensure_future(self._work()))

    def _dismiss(self) -> None:
        for worker in [one for one in self._workers if one.done()]:
            self._workers.remove(worker)
            worker.result()

    async def _work(self) -> None:
        """Open one session after the other, while there is mail."""
        while await self._is_worth_a_session():
            self._sessions += 1
            feed = _SessionFeed(self)
            try:
                if session := await self._open():
                    self._logged_in += 1
                    self._health.session_opened(self._logged_in)
                    self._wake_workers()
                    try:
                        await session.send(feed)
                    finally:
                        self._logged_in -= 1
            except SessionError as error:
                self._lost(error, feed)
            finally:
                self._sessions -= 1
                self._on_change()

    def _lost(self, error: SessionError, feed: _SessionFeed) -> None:
        """A session has ended before its time."""
        if isinstance(error, IdleEndError) and error.is_for_idleness:
            self.queue.ended_idle(error.idle_seconds)
            return
        if isinstance(error, OutOfStepError):
            logger.warning(
                "connection %s: a session with %s was ended, because its replies did not match the"
                " commands. Recipients whose message was out are uncertain, the others are"
                " untouched. Tell whoever runs that server (%s)",
                self._connection.name,
                self._connection.host,
                error,
            )
        carried = feed.carried > 0
        self._health.session_lost(error, self._sessions, carried=carried, blames=feed.blames)
        self._probing.heard(error)

    async def _open(self) -> Session | None:
        """A session; None where it is over meanwhile: there is no mail in it to wait for."""
        opening = asyncio.ensure_future(self._open_session(self._as_learnt()))
        try:
            while not (opening.done() or self.queue.is_over):
                changed = asyncio.ensure_future(self._changed.wait())
                either: set[asyncio.Future[Any]] = {opening, changed}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            return opening.result() if opening.done() else None
        finally:
            if not opening.done():
                await _abandon(opening)

    def _as_learnt(self) -> Connection:
        """The connection, with sessions no longer than its server allows."""
        learnt, given = self._outcomes.messages_per_session, self._connection
        if learnt is None or (given.messages_per_session or learnt) < learnt:
            return given
        return replace(given, messages_per_session=learnt)

    async def _is_worth_a_session(self) -> bool:
        """Wait until there is mail for one more session. False: there will be none."""
        while not self.queue.is_over:
            now = self._clock()
            if (at := self._one_more_at(now)) <= now:
                return True
            timeout = at - now if at < math.inf else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout)
        return False

    def _one_more_at(self, now: float) -> float:
        """When to look at whether to open one more session; now: open it. Infinity: at a change."""
        in_stock = len(self._stock)
        if in_stock and not self._needs_one_more(in_stock):
            return math.inf
        login = min(_LOGIN_SECONDS, self.queue.idle_seconds / 2) if in_stock else 0.0
        at = max(self.queue.mail_at(now) - login, self._health.session_at(self._sessions))
        return at if in_stock or at > now else math.inf

    def _needs_one_more(self, in_stock: int) -> bool:
        """Whether mail would wait for a session, at the pace at which it may go."""
        if self._sessions >= min(in_stock, self._connection.max_sessions):
            return False
        is_one_spare = self.queue.waiting > 0 or self._sessions > self._logged_in
        return not is_one_spare or self._sessions < self.queue.sessions_at_work

    # Outcomes

    def dot(self, envelope: Envelope) -> None:
        self._journal.dot(envelope.recipient_id)

    def settled(self, envelope: Envelope, attempt: Attempt, feed: _SessionFeed) -> None:
        code = attempt.code
        if attempt.phase is not Phase.BODY or (code is not None and code >= _REFUSED):
            # Not taken over, dot or no dot. Whose fault a refusal is may be decided much later:
            # after a crash before that the recipient is pending.
            self._journal.forget((envelope.recipient_id,))
        elif code is not None:
            self._journal.reply(envelope.recipient_id, code)
        is_unused = attempt.phase is Phase.MAIL and code is None
        row, number = self.queue.landed(envelope, is_unused=is_unused)
        self._outcomes.draw(row, attempt, feed, number)
        self.queue.serve()
        if self._stock.aside:
            self._conclude_at_the_end()

    def _conclude_at_the_end(self) -> None:
        """Decide about suspects where, for now, nobody is left to be tried after them."""
        if self._concluding or self._stopping or self.queue.in_flight:
            return
        later = self._stock.rests_until - self._clock()
        if later > _SOON_SECONDS or (later > 0 and self._bookkeeper.has_peers):
            self._concluding = asyncio.ensure_future(self._conclude())

    async def _conclude(self) -> None:
        try:
            await self._outcomes.conclude()
        except OutboxError:  # `run` raises it as well; the suspects stay pending
            self.stop()
        self._concluding = None
        self._on_change()

    @property
    def _stopping(self) -> bool:
        return self._stopped.is_set()

    def _has_ended(self) -> bool:
        return self._stopped.is_set() or self._health.breaker.down is not None

    def _on_change(self) -> None:
        self.queue.serve()
        if self._stock.aside:
            self._conclude_at_the_end()
        self._wake_workers()

    def _wake_workers(self) -> None:
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
