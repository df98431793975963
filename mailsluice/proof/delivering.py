"""Sending copies over one connection: by the sessions and under the limits of a campaign."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from uuid import uuid4

from mailsluice.envelope import Envelope
from mailsluice.outbox import Ask, Database, Starts, Usages
from mailsluice.outcome import Attempt
from mailsluice.pacing import Rules
from mailsluice.proof.result import Delivery
from mailsluice.sending.courier import OpenSession
from mailsluice.sending.rule_book import own_rules
from mailsluice.sending.starts import StartStock
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import SessionError

PATIENCE_SECONDS = 60.0
"""How long copies wait for room under the connection's limits, or for one of its sessions."""
_PAUSE_SECONDS = 0.2  # before another session, where one was recalled


async def deliver(
    connection: Connection,
    envelopes: Sequence[Envelope],
    database: Database,
    *,
    open_session: OpenSession,
    patience_seconds: float = PATIENCE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Delivery:
    """Send each envelope once, as soon as the connection's limits allow.

    Starts are given out by the limits' common memory, so copies count as campaigns' mail does, and
    those see them. The envelopes' recipient ids are the numbers from 1. Raises what the database
    raises where the memory cannot be used.
    """
    changed = asyncio.Event()
    starts = StartStock(
        f"test {uuid4()}", _Reservations(database), clock=clock, changed=changed.set
    )
    rules: Mapping[str, Rules] = await asyncio.to_thread(own_rules, database, connection)
    starts.follow(rules)
    feed = _Copies(envelopes, starts, changed, clock() + patience_seconds, clock)
    try:
        trouble = await _send(connection, feed, open_session, patience_seconds)
    finally:
        await starts.close()
    if starts.failure:
        raise starts.failure
    attempts = [feed.attempts.get(one.recipient_id, trouble) for one in envelopes]
    return Delivery(connection.name, attempts)


async def _send(
    connection: Connection, feed: _Copies, open_session: OpenSession, patience_seconds: float
) -> Attempt | None:
    """One session after the other until nothing waits; gives what ended that early."""
    try:
        while not feed.is_over:
            async with asyncio.timeout(patience_seconds + connection.timeout_seconds):
                session = await open_session(connection)
            await session.send(feed)
            if not feed.is_over:
                await asyncio.sleep(_PAUSE_SECONDS)
    except SessionError as error:
        return error.attempt
    except TimeoutError:  # none of its sessions was free
        return None
    return None


class _Reservations:
    """The limits' common memory, in a transaction of its own each time. Implements `Reserves`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(self, ask: Ask) -> Starts:
        return await asyncio.to_thread(self._reserve, ask)

    def _reserve(self, ask: Ask) -> Starts:
        with self._database.write() as transaction:
            return Usages(self._database).reserve(transaction, [ask])[0]


class _Copies:
    """What a session sends from and reports to. Implements `Feed`."""

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

    @property
    def is_over(self) -> bool:
        """Whether nothing waits any more, or not any longer."""
        return bool(not self._waiting or self._starts.failure or self._clock() >= self._deadline)

    async def next(self) -> Envelope | None:
        while not self.is_over:
            now = self._clock()
            if (ready_at := self._starts.ready_at(now)) <= now:
                return self._take()
            if self._deadline < ready_at < math.inf:  # it is known that there will be no room
                self._deadline = now
            self._changed.clear()
            with suppress(TimeoutError):
                timeout = min(ready_at, self._deadline) - now
                await asyncio.wait_for(self._changed.wait(), timeout)
        return None

    def next_nowait(self) -> Envelope | None:
        now = self._clock()
        return None if self.is_over or self._starts.ready_at(now) > now else self._take()

    def dot(self, envelope: Envelope) -> None:
        """Nobody keeps a journal of copies."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        self._starts.finished()
        self.attempts[envelope.recipient_id] = attempt

    def _take(self) -> Envelope:
        self._starts.started()
        return self._waiting.popleft()
