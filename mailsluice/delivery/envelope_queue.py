"""Hand rendered messages to waiting sessions: choose the next recipient, and the moment.

Everything here runs on one event loop, and nothing waits for the store. The sessions that wait are
a stack: the session that was used last is used next. At a pace that one session can carry, taking
turns would keep all sessions idle for longer than servers tolerate. Sessions at the bottom of the
stack are closed after a while, and another one is opened only where a message would wait for it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import NamedTuple

import orjson

from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MessageError
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_state import ConnectionState
from mailsluice.delivery.lane import Lane
from mailsluice.delivery.pool_room import AHEAD_SECONDS, PoolRoom
from mailsluice.message import CompiledMessage
from mailsluice.store import Claimed, Settled

_IDLE_SECONDS = 20.0  # a session that would wait longer for mail is closed
_ASSUMED_SECONDS = 1.0  # what a message is assumed to take until one was measured
_OLDER = 0.9  # the weight of earlier messages in the mean time that messages take
_LEAST_SECONDS = 1e-4  # no message takes less
_ONE_AHEAD_PER_SECOND = 0.5  # at a lower pace, a claim takes no time to speak of
_SHARE_OF_IDLE = 0.8  # of the idle time after which the server ended a session


class _Waiter(NamedTuple):
    """A session that waits for mail."""

    envelope: asyncio.Future[Envelope | None]
    since: float


class EnvelopeQueue:
    """The next messages of one connection, one at a time.

    The session that was used last is the first to get mail, so only as many sessions are used as
    the pace needs. The others are closed when they have been idle for a while, before the server
    closes them.
    """

    def __init__(self, message: CompiledMessage, state: ConnectionState) -> None:
        self._message = message
        self._state = state
        self._store = state.context.store
        self._lanes = state.lanes
        self._main = state.lanes.main
        self._opens_at = state.context.opens_at
        self._clock = state.context.clock
        self._in_flight: dict[int, tuple[Claimed, Lane, float, int]] = {}
        """Recipients whose message is on its way, with lane, start and number, in that order."""
        self.started = 0
        """How many messages have been started, which is the number of the next one."""
        self.waits_for_replies = False
        """Whether messages on their way must be answered before the next one is started."""
        self._message_seconds: float | None = None
        """The mean time from a message's start to its reply; recent messages count most."""
        self.unrenderable = 0
        """Recipients for whom no message could be rendered."""
        self._waiters: deque[_Waiter] = deque()
        self._idle_seconds = math.inf
        """The shortest idle time after which the server has ended a session."""
        self._timer: asyncio.TimerHandle | None = None
        self._pool_room: PoolRoom | None = None
        if state.context.pool:
            self._lanes.pool_room = self._pool_room = PoolRoom(state.context.clock, self)
            state.context.pool.join(self._lanes)

    @property
    def failure(self) -> BaseException | None:
        """Why no more messages can be handed out."""
        return self._main.failure or self._lanes.failure

    @property
    def is_over(self) -> bool:
        """Whether there will never be another message."""
        if self._state.has_ended or self.failure:
            return True
        context = self._state.context
        if not self.is_idle or context.may_receive(self._state.name):
            return False
        return context.pool is None or not context.pool.may_fill(self._lanes)

    @property
    def is_idle(self) -> bool:
        """Whether there is no message on its way or to be sent, unless more recipients come."""
        return not self._in_flight and self._lanes.is_exhausted

    @property
    def waiting(self) -> int:
        """Sessions that wait for mail."""
        return sum(not waiter.envelope.done() for waiter in self._waiters)

    @property
    def sessions_at_work(self) -> float:
        """How many sessions the pace that limits and server allow keeps busy; infinity: all."""
        now = self._clock()
        pace = min(self._main.per_second(now), self._lanes.per_second(now))
        seconds = self._message_seconds
        if seconds is None:
            seconds = _ASSUMED_SECONDS
        return math.inf if pace == math.inf else pace * seconds

    @property
    def idle_seconds(self) -> float:
        """How long a session may wait for mail."""
        return min(_IDLE_SECONDS, _SHARE_OF_IDLE * self._idle_seconds)

    def ended_idle(self, seconds: float) -> None:
        """Note that the server has ended a session that had been idle for so long."""
        self._idle_seconds = min(self._idle_seconds, seconds)

    async def next(self) -> Envelope | None:
        """The next message, as soon as it may go; None where a session should end."""
        if envelope := self.next_nowait():
            return envelope
        waiter: asyncio.Future[Envelope | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(_Waiter(waiter, self._clock()))
        self.serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            has_result = waiter.done() and not (waiter.cancelled() or waiter.exception())
            if has_result and (envelope := waiter.result()):
                self._lanes.put_back(self.finished(envelope, is_unused=True)[0])
            raise

    def next_nowait(self) -> Envelope | None:
        """The next message, if it may go now."""
        while not self._state.has_ended:
            now = self._clock()
            if self._ready_at(now) > now:
                return None
            taken = self._lanes.take(now)
            if taken is None:
                return None
            row, lane = taken
            try:
                envelope = self._message.render(row.id, row.email, orjson.loads(row.variables))
            except MessageError as error:
                failed = RecipientStatus.FAILED
                self._store.settle(Settled(row.id, failed, row.attempts, reply=str(error)))
                self.unrenderable += 1
                continue
            except Exception:  # a fault of Mailsluice, which ends the session
                self._lanes.put_back(row)
                raise
            self._main.started(now)
            if lane is not self._main:
                lane.started(now)
            self._in_flight[row.id] = row, lane, now, self.started
            self.started += 1
            return envelope
        return None

    def finished(self, envelope: Envelope, *, is_unused: bool = False) -> tuple[Claimed, int]:
        """Note that a message is no longer on its way; returns its recipient and its number.

        `is_unused`: the server did not even answer its MAIL, so it counts against no limit.
        """
        row, lane, since, number = self._in_flight.pop(envelope.recipient_id)
        self._main.finished(is_unused=is_unused)
        if lane is not self._main:
            lane.finished(is_unused=is_unused)
            self._lanes.may_go_on(lane)
        seconds = self._clock() - since
        mean = self._message_seconds or seconds
        self._message_seconds = _OLDER * mean + (1 - _OLDER) * seconds
        return row, number

    @property
    def in_flight(self) -> int:
        """Messages on their way."""
        return len(self._in_flight)

    @property
    def oldest(self) -> int:
        """The number of the message on its way that was started first; else of the next one."""
        return next((number for *_, number in self._in_flight.values()), self.started)

    def under_way(self) -> set[int]:
        """The ids of the recipients whose message is on its way."""
        return set(self._in_flight)

    def mail_at(self, now: float) -> float:
        """When the next message may go, as far as that is known."""
        at = self._lanes.mail_at(now)
        return self._ready_at(now) if at <= now else at

    def serve(self) -> None:
        """Hand messages to the waiting sessions, or let the sessions end."""
        while self._waiters:
            if self._waiters[-1].envelope.done():  # the session was cancelled
                self._waiters.pop()
                continue
            try:
                envelope = self.next_nowait()
            except Exception as error:  # noqa: BLE001 the session raises it; a timer would lose it
                self._waiters.pop().envelope.set_exception(error)
                break
            if envelope is None:
                self._dismiss()
                break
            self._waiters.pop().envelope.set_result(envelope)
        if self._pool_room and not self._in_flight:
            self._return_what_waits(self._pool_room)

    def capacity(self) -> int:
        """How many recipients the sessions can take soon, in flight ones not counted.

        Enough for half a second at the pace of the replies so far; one, where a session would wait
        for recipients otherwise, or could be opened.
        """
        most, waiting = self._state.connection.max_sessions, self.waiting
        in_flight = len(self._in_flight)
        if self._message_seconds is None:
            return max(0, most - in_flight)
        sessions = max(in_flight, min(most, in_flight + waiting + 1))  # one may be asking now
        per_second = sessions / max(self._message_seconds, _LEAST_SECONDS)
        least = max(waiting + (in_flight + waiting < most), per_second >= _ONE_AHEAD_PER_SECOND)
        return max(int(per_second * AHEAD_SECONDS), least)

    def held_until(self, now: float) -> float:
        """Until when no message can start, whoever it is for; infinity: not known."""
        breaker = self._state.health.breaker
        if breaker.is_open and breaker.retry_at > now:
            return breaker.retry_at
        opens_at = self._opens_at(now)
        return opens_at if opens_at > now else self._main.known_at(now)

    def _return_what_waits(self, room: PoolRoom) -> None:
        """Return recipients to the pool that this connection cannot send to soon."""
        if len(self._lanes) and room.is_far(self.held_until(self._clock())):
            self._lanes.return_to_pool()

    def _ready_at(self, now: float) -> float:
        opens_at = self._opens_at(now)
        if opens_at > now:
            return opens_at
        if self.waits_for_replies and self._in_flight:
            return math.inf  # a reply calls `serve`
        return self._main.ready_at(now)

    def _dismiss(self) -> None:
        """End the sessions that would wait too long; a timer serves the others in time."""
        now, mail_at = self._clock(), math.inf
        if not self.is_over:
            mail_at = self.mail_at(now)
        is_far = self.is_over or self.idle_seconds < mail_at - now < math.inf
        while self._waiters and (is_far or now >= self._waiters[0].since + self.idle_seconds):
            waiter = self._waiters.popleft().envelope
            if not waiter.done():
                waiter.set_result(None)
        if self._timer:
            self._timer.cancel()
        if self._waiters:
            at = min(mail_at, self._waiters[0].since + self.idle_seconds)
            self._timer = asyncio.get_running_loop().call_later(at - now, self.serve)
