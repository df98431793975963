"""Which recipient is next, and when: hands rendered messages to the sessions that wait for them.

Everything here runs on one event loop, and nothing in it waits for the outbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import orjson

from mailsluice.envelope import Envelope
from mailsluice.errors import MessageError
from mailsluice.message import CompiledMessage
from mailsluice.outbox import Claimed, Settled
from mailsluice.sending.bookkeeper import Bookkeeper
from mailsluice.sending.slowdown import Slowdown
from mailsluice.sending.starts import StartStock
from mailsluice.sending.stock import Stock
from mailsluice.status import RecipientStatus

_IDLE_SECONDS = 20.0  # a session without mail for longer than that is closed rather than held


class Dispatch:
    """The next messages of one connection, one at a time.

    `has_ended` tells that nothing more is to be given out; `opens_at` when, from a moment on, mail
    may go at all.
    """

    def __init__(
        self,
        message: CompiledMessage,
        bookkeeper: Bookkeeper,
        stock: Stock,
        starts: StartStock,
        slowdown: Slowdown,
        *,
        has_ended: Callable[[], bool],
        opens_at: Callable[[float], float],
        clock: Callable[[], float],
    ) -> None:
        self._message = message
        self._bookkeeper = bookkeeper
        self._stock = stock
        self._starts = starts
        self._slowdown = slowdown
        self._has_ended = has_ended
        self._opens_at = opens_at
        self._clock = clock
        self._in_flight: dict[int, Claimed] = {}
        self.unrenderable = 0
        """Recipients for whom there was no message."""
        self._waiters: deque[asyncio.Future[Envelope | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def failure(self) -> BaseException | None:
        """Why nothing more can be given out."""
        return self._stock.failure or self._starts.failure

    @property
    def is_over(self) -> bool:
        """Whether there will never be another message."""
        if self._has_ended() or self.failure:
            return True
        return not self._in_flight and self._stock.is_exhausted

    async def next(self) -> Envelope | None:
        """The next message, as soon as it may go; None where a session should end."""
        if not self._waiters and (envelope := self.next_nowait()):
            return envelope
        waiter: asyncio.Future[Envelope | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (given := waiter.result()):
                self._stock.put_back(self.landed(given))
            raise

    def next_nowait(self) -> Envelope | None:
        """The next message, if it may go this instant."""
        while not self._has_ended():
            now = self._clock()
            if self._ready_at(now) > now:
                return None
            row = self._stock.take()
            if row is None:
                return None
            try:
                envelope = self._message.render(row.id, row.email, orjson.loads(row.variables))
            except MessageError as error:
                failed = RecipientStatus.FAILED
                self._bookkeeper.settle(Settled(row.id, failed, row.attempts, reply=str(error)))
                self.unrenderable += 1
                continue
            self._starts.started()
            self._slowdown.started(now)
            self._in_flight[row.id] = row
            return envelope
        return None

    def landed(self, envelope: Envelope) -> Claimed:
        """A message is not on its way any more; gives whose it was."""
        self._starts.finished()
        return self._in_flight.pop(envelope.recipient_id)

    @property
    def in_flight(self) -> int:
        """Messages on their way."""
        return len(self._in_flight)

    def under_way(self) -> set[int]:
        """The ids of those whose message is on its way."""
        return set(self._in_flight)

    def mail_at(self, now: float) -> float:
        """When the next message may go, as far as that is known."""
        if len(self._stock):
            return self._ready_at(now)
        self._stock.refill()
        return max(now, self._stock.due_at)

    def serve(self) -> None:
        """Give waiting sessions their mail, or tell them to end."""
        while self._waiters:
            if self._waiters[0].done():  # its session is gone
                self._waiters.popleft()
                continue
            envelope = self.next_nowait()
            if envelope is None and not self._is_idle():
                return
            self._waiters.popleft().set_result(envelope)

    def _ready_at(self, now: float) -> float:
        opens_at = self._opens_at(now)
        if opens_at > now:
            return opens_at
        return max(self._slowdown.next_at, self._starts.ready_at(now))

    def _is_idle(self) -> bool:
        """Whether sessions should end rather than wait; else a timer serves them in time."""
        if self.is_over:
            return True
        now = self._clock()
        mail_at = self.mail_at(now)
        if mail_at < float("inf"):
            if mail_at - now > _IDLE_SECONDS:
                return True
            if self._timer:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(mail_at - now, self.serve)
        return False
