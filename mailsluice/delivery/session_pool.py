"""Open, use and close the sessions of one connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from mailsluice.core.outcome import Trouble
from mailsluice.delivery.connection_state import ConnectionState
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.own_fault import NOT_OURS, own_fault, traced
from mailsluice.delivery.probing import Probing
from mailsluice.delivery.session_feed import SessionFeed
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.greeting import greets
from mailsluice.smtp.session import IdleEndError, OutOfStepError, Session, SessionError

OpenSession = Callable[[Connection], Awaitable[Session]]

logger = logging.getLogger(__name__)

_LOGIN_SECONDS = 1.0  # how long before its first message may go a session is opened
_CANCEL_SECONDS = 0.05


class SessionPool:
    """Workers, one for each session that the connection may have; each opens sessions in turn.

    A worker waits until mail would wait for one more session.
    """

    def __init__(
        self,
        state: ConnectionState,
        queue: EnvelopeQueue,
        *,
        open_session: OpenSession,
        feed: Callable[[], SessionFeed],
    ) -> None:
        """`feed` makes the feed of a new session."""
        self._state = state
        self._queue = queue
        self._open_session = open_session
        self._feed = feed
        self._probing = Probing(
            state.name,
            state.health.breaker,
            greets=lambda: greets(state.connection),
            is_wanted=lambda: not queue.is_over,
            answered=state.changed,
            clock=state.context.clock,
            chance=state.context.chance,
        )
        self._workers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._looking = asyncio.Lock()
        """Held by the one worker that looks whether one more session is needed."""
        self.open = 0
        """Sessions that are open or being opened."""
        self.logged_in = 0
        """Sessions that may send."""

    async def run(self) -> None:
        """Send until no mail is left or the connection is to stop.

        Messages in flight then have `stop_seconds` to finish.
        """
        stopped = asyncio.ensure_future(self._state.stopped.wait())
        self.grow()
        try:
            while self._workers and not self._state.is_stopping:
                await asyncio.wait({*self._workers, stopped}, return_when=asyncio.FIRST_COMPLETED)
                self._remove_ended()
            if self._workers:
                await asyncio.wait(self._workers, timeout=self._state.settings.stop_seconds)
                self._remove_ended()
        finally:
            self._state.stopped.set()
            stopped.cancel()
            await self._probing.close()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    def grow(self) -> None:
        """Start the missing workers; workers beyond the limit find nothing to do."""
        for _ in range(len(self._workers), self._state.connection.max_sessions):
            self._workers.add(asyncio.ensure_future(self._work()))

    def wake(self) -> None:
        """Have a worker look again whether one more session is needed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _remove_ended(self) -> None:
        for worker in [worker for worker in self._workers if worker.done()]:
            self._workers.remove(worker)
            worker.result()

    async def _work(self) -> None:
        """Open one session after the other while mail is left.

        An unexpected error takes this connection down, and not the others: its other sessions
        finish their messages in flight.
        """
        try:
            while await self._is_next():
                await self._open_one()
        except NOT_OURS:
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, the connection says so
            secrets = self._state.connection.secrets()
            logger.error("connection %s: %s", self._state.name, traced(error, secrets))
            self._state.health.failed(Trouble.DOWN, own_fault(error, secrets))
            self._state.changed()

    async def _open_one(self) -> None:
        """Open a session, and use it until it ends."""
        self.open += 1
        feed = self._feed()
        try:
            if session := await self._opened():
                await self._use(session, feed)
        except SessionError as error:
            self._lost(error, feed)
        finally:
            self.open -= 1
            self._state.changed()

    async def _use(self, session: Session, feed: SessionFeed) -> None:
        self.logged_in += 1
        self._state.health.session_opened(self.logged_in)
        self.wake()
        try:
            await session.send(feed)
        finally:
            self.logged_in -= 1

    def _lost(self, error: SessionError, feed: SessionFeed) -> None:
        """Note that a session could not be opened, or ended too early."""
        if isinstance(error, IdleEndError) and error.is_for_idleness:
            self._queue.ended_idle(error.idle_seconds)
            return
        if isinstance(error, OutOfStepError):
            logger.warning(
                "connection %s: a session with %s was ended, because its replies did not match the"
                " commands. Recipients whose message was sent are uncertain, the others are"
                " untouched. Tell the server's operator (%s)",
                self._state.name,
                self._state.connection.host,
                error,
            )
        carried = feed.carried > 0
        self._state.health.session_lost(error, self.open, carried=carried, blames=feed.blames)
        self._probing.session_failed(error)

    async def _opened(self) -> Session | None:
        """Open a session; None where no mail is left before it is open."""
        opening = asyncio.ensure_future(self._open_session(self._with_learnt_length()))
        try:
            while not (opening.done() or self._queue.is_over):
                changed = asyncio.ensure_future(self._changed.wait())
                either: set[asyncio.Future[Any]] = {opening, changed}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            return opening.result() if opening.done() else None
        finally:
            if not opening.done():
                await _abandon(opening)

    def _with_learnt_length(self) -> Connection:
        """The connection, with sessions no longer than its server allows."""
        learnt, connection = self._state.session_lengths.learnt, self._state.connection
        if learnt is None or (connection.messages_per_session or learnt) < learnt:
            return connection
        return replace(connection, messages_per_session=learnt)

    async def _is_next(self) -> bool:
        """Wait until one more session is needed, behind the workers that wait already."""
        async with self._looking:
            return await self._is_worth_a_session()

    async def _is_worth_a_session(self) -> bool:
        """Wait until there is mail for one more session. False: there will be none."""
        while not self._queue.is_over:
            now = self._state.context.clock()
            if (at := self._next_session_at(now)) <= now:
                return True
            timeout = at - now if at < math.inf else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
        return False

    def _next_session_at(self, now: float) -> float:
        """When one more session is to be opened; infinity: not before something changes."""
        claimed = len(self._state.lanes)
        if claimed and self._state.context.pool:  # those in flight need their sessions as well
            claimed += self._queue.in_flight
        if claimed and not self._needs_another(claimed):
            return math.inf
        login = min(_LOGIN_SECONDS, self._queue.idle_seconds / 2) if claimed else 0.0
        session_at = self._state.health.session_at(self.open)
        at = max(self._queue.mail_at(now) - login, session_at)
        return at if claimed or at > now else math.inf

    def _needs_another(self, claimed: int) -> bool:
        """Whether mail would wait for a session at the pace that limits and server allow."""
        if self.open >= min(claimed, self._state.connection.max_sessions):
            return False
        is_one_spare = self._queue.waiting > 0 or self.open > self.logged_in
        return not is_one_spare or self.open < self._queue.sessions_at_work


async def _abandon(opening: asyncio.Future[Session]) -> None:
    """Cancel the opening of a session until it ends.

    `wait_for` of Python 3.11 swallows a cancellation that comes together with its result, so that
    one cancellation may not be enough.
    """
    while not opening.done():
        opening.cancel()
        await asyncio.wait({opening}, timeout=_CANCEL_SECONDS)
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
