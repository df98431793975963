"""Sending copies over one connection, with the sessions and limits of campaigns."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from uuid import uuid4

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt
from mailsluice.core.steady import steady
from mailsluice.delivery.rule_book import own_rules
from mailsluice.delivery.session_pool import OpenSession
from mailsluice.delivery.starts import StartStock
from mailsluice.limits import Rules
from mailsluice.operations.send_test.result import Delivery
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import SessionError
from mailsluice.store import Ask, Database, Starts, Usages

PATIENCE_SECONDS = 600.0
"""The longest wait of copies for the connection's limits."""
_SESSION_SECONDS = 90.0  # campaigns that hold all sessions release one each minute
_IDLE_SECONDS = 20.0  # a session that would wait longer for its next copy is closed
_PAUSE_SECONDS = 0.2  # before the next session, after one was recalled


async def deliver(
    connection: Connection,
    envelopes: Sequence[Envelope],
    database: Database,
    *,
    open_session: OpenSession,
    patience_seconds: float = PATIENCE_SECONDS,
    clock: Callable[[], float] = steady,
    names: Sequence[str] = (),
) -> Delivery:
    """Send each envelope once, as soon as the connection's limits allow.

    Copies share the usage of limits with campaigns, so they count like a campaign's mail. The
    envelopes' recipient ids are numbers from 1. `names` are what the result calls their
    recipients, by default these numbers. Errors of the database are raised.
    """
    changed = asyncio.Event()
    starts = StartStock(
        f"test {uuid4()}", _Reservations(database), clock=clock, changed=changed.set
    )
    rules: Mapping[str, Rules] = await asyncio.to_thread(own_rules, database, connection)
    starts.follow(rules)
    feed = _Copies(envelopes, starts, changed, clock() + patience_seconds, clock)
    try:
        trouble = await _send(connection, feed, open_session)
    finally:
        await starts.close()
    if starts.failure:
        raise starts.failure
    attempts = [feed.attempts.get(envelope.recipient_id, trouble) for envelope in envelopes]
    moments = [feed.moments.get(envelope.recipient_id) for envelope in envelopes]
    return Delivery(connection.name, attempts, moments, names)


async def _send(connection: Connection, feed: _Copies, open_session: OpenSession) -> Attempt | None:
    """Open sessions one after the other until all copies are settled.

    After a session that broke at a copy, the next session takes the others. Returns the failed
    attempt to open a session, if that ended the work.
    """
    while await feed.has_turn():
        settled = len(feed.attempts)
        try:
            async with asyncio.timeout(_SESSION_SECONDS + connection.timeout_seconds):
                session = await open_session(connection)
            await session.send(feed)
        except SessionError as error:
            if len(feed.attempts) == settled:
                return error.attempt
        except TimeoutError:  # all sessions are in use
            return None
        else:
            if len(feed.attempts) == settled:
                await asyncio.sleep(_PAUSE_SECONDS)
    return None


class _Reservations:
    """Reserves starts, each time in a transaction of its own. Implements `StartSource`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._usages = Usages(database)

    async def reserve(self, ask: Ask) -> Starts:
        return await asyncio.to_thread(self._reserve, ask)

    def _reserve(self, ask: Ask) -> Starts:
        with self._database.write() as transaction:
            return self._usages.reserve(transaction, [ask])[0]


class _Copies:
    """The copies that sessions send, and their attempts. Implements `Feed`."""

    def __init__(
        self,
        envelopes: Sequence[Envelope],
        starts: StartStock,
        changed: asyncio.Event,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._waiting = deque(envelopes)
        self._starts = starts
        self._changed = changed
        self._deadline = deadline
        self._clock = clock
        self.attempts: dict[int, Attempt] = {}
        self.moments: dict[int, float] = {}

    @property
    def is_over(self) -> bool:
        """Whether no copy waits, or the wait has taken too long."""
        return bool(not self._waiting or self._starts.failure or self._clock() >= self._deadline)

    async def has_turn(self) -> bool:
        """Wait until a copy may be sent; False when none will be."""
        while not self.is_over:
            now = self._clock()
            if (ready_at := self._starts.ready_at(now)) <= now:
                return True
            if self._deadline < ready_at < math.inf:  # the limits leave no room before the deadline
                self._deadline = now
            await self._changed_until(ready_at)
        return False

    async def next(self) -> Envelope | None:
        while not self.is_over:
            now = self._clock()
            if (ready_at := self._starts.ready_at(now)) <= now:
                return self._take()
            if _IDLE_SECONDS < ready_at - now < math.inf:
                return None
            await self._changed_until(ready_at)
        return None

    def next_nowait(self) -> Envelope | None:
        now = self._clock()
        return None if self.is_over or self._starts.ready_at(now) > now else self._take()

    def dot(self, envelope: Envelope) -> None:
        """Do nothing: copies have no journal."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        self._starts.finished()
        self.attempts[envelope.recipient_id] = attempt
        self.moments[envelope.recipient_id] = time.time()

    async def _changed_until(self, moment: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(moment, self._deadline) - self._clock()):
                await self._changed.wait()

    def _take(self) -> Envelope:
        self._starts.started()
        return self._waiting.popleft()
