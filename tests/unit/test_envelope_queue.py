"""Which session gets the next message, and which ends."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.store import Claimed

PACE_SECONDS = 3.0
MANY = 100


@dataclass
class World:
    """A clock, mail at a pace, and the parts that a queue needs."""

    now: float = 0.0
    next_at: float = 0.0
    rows: deque[int] = field(default_factory=lambda: deque(range(MANY)))
    unused: int = 0
    failure: None = None
    is_exhausted: bool = False
    waits: bool = False

    # the lanes

    @property
    def main(self) -> World:
        return self

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, _: float) -> tuple[Claimed, World] | None:
        number = self.rows.popleft()
        return cast("Claimed", _Row(number)), self

    def put_back(self, row: Any) -> None:
        self.rows.appendleft(row.id)

    def mail_at(self, now: float) -> float:
        return now

    # the main lane

    def ready_at(self, now: float) -> float:
        return max(now, self.next_at)

    def started(self, _: float) -> None:
        self.next_at = self.now + PACE_SECONDS

    def finished(self, *, is_unused: bool) -> None:
        self.unused += is_unused

    def per_second(self, _: float) -> float:
        return 1 / PACE_SECONDS


@dataclass
class _Row:
    id: int
    email: str = "a@example.com"
    variables: str = "{}"
    attempts: int = 0


class _Message:
    def render(self, number: int, email: str, _: object) -> Envelope:
        return Envelope(number, "s@example.com", email, b"")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def queue(world: World) -> EnvelopeQueue:
    state = SimpleNamespace(
        context=SimpleNamespace(
            store=None, opens_at=lambda now: now, clock=lambda: world.now, pool=None
        ),
        lanes=world,
        has_ended=False,
    )
    return EnvelopeQueue(cast("Any", _Message()), cast("Any", state))


class Sessions:
    """Sessions that wait for mail, send it in no time, and wait again."""

    def __init__(self, queue: EnvelopeQueue, number: int) -> None:
        self._queue = queue
        self.sent = [0] * number
        self.ended: set[int] = set()
        self._tasks = [asyncio.ensure_future(self._work(one)) for one in range(number)]

    async def _work(self, number: int) -> None:
        while (envelope := await self._queue.next()) is not None:
            self.sent[number] += 1
            self._queue.finished(envelope)
        self.ended.add(number)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def pass_time(self, world: World, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            world.now += 0.5
            self._queue.serve()
            await self.settle()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


async def test_one_session_is_used_where_one_is_enough(world: World, queue: EnvelopeQueue) -> None:
    """If four sessions took turns, each would be idle for twelve seconds."""
    sessions = Sessions(queue, 4)
    await sessions.settle()
    await sessions.pass_time(world, 60)
    assert len(sessions.ended) == 3
    assert max(sessions.sent) >= 19
    sessions.stop()


async def test_idle_sessions_are_closed_before_the_server_closes_them(
    world: World, queue: EnvelopeQueue
) -> None:
    sessions = Sessions(queue, 4)
    await sessions.settle()
    queue.ended_idle(10.0)
    queue.ended_idle(60.0)
    assert queue.idle_seconds == pytest.approx(8.0)
    await sessions.pass_time(world, 7.5)
    assert not sessions.ended
    await sessions.pass_time(world, 3)
    assert len(sessions.ended) == 3
    sessions.stop()


async def test_the_start_of_a_message_that_was_not_sent_is_returned(
    world: World, queue: EnvelopeQueue
) -> None:
    task = asyncio.ensure_future(queue.next())
    await asyncio.sleep(0)
    envelope = await task
    assert envelope is not None
    queue.finished(envelope, is_unused=True)
    assert world.unused == 1


async def test_as_many_sessions_work_as_the_pace_needs(world: World, queue: EnvelopeQueue) -> None:
    assert queue.sessions_at_work == pytest.approx(1 / PACE_SECONDS)  # a second each, at first
    envelope = await queue.next()
    assert envelope is not None
    world.now += 6.0
    queue.finished(envelope)
    assert queue.sessions_at_work == pytest.approx(2.0)


async def waiting_session(
    world: World, queue: EnvelopeQueue, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Future[Envelope | None]:
    """A session that waits for a message, which a timer asks for and which cannot be made."""
    world.next_at = 1.0
    waiting = asyncio.ensure_future(queue.next())
    await asyncio.sleep(0)

    def broken(*_: object) -> Envelope:
        raise TypeError("of ours")

    monkeypatch.setattr(_Message, "render", broken)
    world.now += 1.0
    return waiting


async def test_a_session_raises_the_error_of_the_message_that_it_waits_for(
    world: World, queue: EnvelopeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipient of the message still waits."""
    waiting = await waiting_session(world, queue, monkeypatch)
    before = len(world)
    queue.serve()
    with pytest.raises(TypeError, match="of ours"):
        await waiting
    assert len(world) == before
    assert not queue.in_flight


async def test_a_cancelled_session_stays_cancelled_when_the_message_fails(
    world: World, queue: EnvelopeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await waiting_session(world, queue, monkeypatch)
    queue.serve()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
