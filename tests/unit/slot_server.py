"""The Prefect side of session slots, in memory: a limit over several processes, with a clock."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.events import Event

from flows.support.session_slots.gate import Gate, Slot
from flows.support.session_slots.keeper import SlotKeeper
from flows.support.session_slots.leases import SlotClient
from flows.support.session_slots.limit import SlotsUnavailableError
from flows.support.session_slots.limit_state import HostLimit, LimitState
from flows.support.session_slots.neighbours import Neighbours
from flows.support.session_slots.notices import Notices


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SlotServer:
    """One limit on the server, with what all processes hold of it."""

    limit: int | None = None
    """None: there is no such limit yet."""
    is_active: bool = True
    is_away: bool = False
    taken: int = 0
    id: UUID = field(default_factory=uuid4)
    updated: datetime = field(default_factory=partial(datetime.now, UTC))
    leases: dict[UUID, int] = field(default_factory=dict)
    """The slots of each lease."""
    of_the_dead: set[UUID] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def expire(self) -> None:
        """Let all leases expire, which frees their slots."""
        self.taken -= sum(self.leases.values())
        self.leases.clear()

    def delete(self) -> None:
        """Delete the limit; the next one has another id."""
        self.limit, self.taken, self.id = None, 0, uuid4()
        self.leases.clear()

    def take_elsewhere(self, number: int) -> None:
        """Another process takes, or with a negative number gives back, so many."""
        self.taken += number


class FakeLimit:
    """One process's client of the server. Implements `SlotClient`."""

    def __init__(self, server: SlotServer) -> None:
        self.names = ["smtp-red"]
        self.host: HostLimit | None = None
        self._server = server
        self.is_closed = False

    async def _call(self, name: str) -> SlotServer:
        await asyncio.sleep(0)
        if self._server.is_away:
            raise SlotsUnavailableError("All connection attempts failed")
        self._server.calls.append(name)
        return self._server

    async def read(self, max_sessions: int) -> LimitState:
        server = await self._call("read")
        if server.limit is None:
            server.limit = max_sessions
        return LimitState(server.id, server.limit, server.taken, server.is_active, server.updated)

    async def acquire(self, slots: int) -> UUID | None:
        server = await self._call("acquire")
        assert server.limit is not None
        if server.taken + slots > server.limit:
            return None
        lease = uuid4()
        server.leases[lease] = slots
        server.taken += slots
        return lease

    async def renew(self, lease: UUID) -> bool:
        return lease in (await self._call("renew")).leases

    async def release(self, lease: UUID) -> None:
        server = await self._call("release")
        slots = server.leases.pop(lease, 0)
        if server.is_active:
            server.taken -= slots

    async def clear(self) -> None:
        server = await self._call("clear")
        if not server.is_active:
            server.taken = 0

    async def release_stale(self) -> None:
        server = await self._call("release_stale")
        server.taken -= len(server.of_the_dead)
        server.of_the_dead.clear()

    async def close(self) -> None:
        self.is_closed = True


class Stream:
    """Prefect's events, delivered at once to all processes."""

    def __init__(self) -> None:
        self.is_lost = False
        self.listeners: list[Callable[[Event | None], None]] = []

    def emit(
        self,
        event: str,
        resource: dict[str, str],
        payload: dict[str, Any],
        occurred: datetime | None = None,
    ) -> None:
        """What a process says."""
        moment = occurred or datetime.now(UTC)
        for listener in self.listeners:
            listener(Event(event=event, resource=resource, payload=payload, occurred=moment))

    def tell(
        self, server: SlotServer, action: str = "updated", occurred: datetime | None = None
    ) -> None:
        """What Prefect says about a limit."""
        resource = {
            "prefect.resource.id": f"prefect.concurrency-limit.{server.id}",
            "prefect.resource.name": "smtp-red",
        }
        values = {"name": "smtp-red", "limit": server.limit, "active": server.is_active}
        self.emit(f"prefect.concurrency-limit.{action}", resource, values, occurred)


class Process:
    """A process with its gate and its keeper, stepped until nothing is due at this moment."""

    def __init__(
        self,
        server: SlotServer,
        clock: Clock,
        max_sessions: int = 4,
        stream: Stream | None = None,
        limit: SlotClient | None = None,
        shards: int = 1,
    ) -> None:
        self._clock = clock
        emit = stream.emit if stream else lambda *_, **__: None
        self.gate = Gate()
        self.keeper = SlotKeeper(
            limit or FakeLimit(server),
            max_sessions,
            self.gate,
            Notices("red", logging.getLogger("red")),
            Neighbours("red", emit, limit.host if limit else None),
            is_told=lambda: stream is not None and not stream.is_lost,
            shards=shards,
            clock=clock,
            chance=random.Random(1).random,
        )
        if stream:
            stream.listeners.append(self.keeper.hear)
        self.open: list[Slot] = []
        """The slots of sessions that are open, the recalled ones included."""
        self.waiting: list[asyncio.Task[Slot | None]] = []

    async def want(self, number: int) -> None:
        """Have so many sessions ask for a slot."""
        self.waiting += [asyncio.create_task(self._take()) for _ in range(number)]
        await asyncio.sleep(0)

    async def _take(self) -> Slot | None:
        slot = await self.gate.take()
        if slot:
            self.open.append(slot)
        return slot

    async def settle(self) -> float | None:
        """Let the keeper do what is due now; gives the seconds until the next."""
        for _ in range(20):
            due = await self.keeper.step()
            await asyncio.sleep(0)
            if due != 0.0:
                break
        return await self.keeper.step()

    async def after(self, seconds: float) -> None:
        """Let time pass, the keeper doing what is due meanwhile."""
        until = self._clock.now + seconds
        steps = 0
        while True:
            due = await self.settle()
            steps += 1
            assert steps < 20 * (seconds + 10), "the keeper never rests"
            if due is None or self._clock.now + due > until:
                break
            self._clock.now += max(due, 0.001)
        self._clock.now = until
        await self.settle()

    def end(self, slot: Slot) -> None:
        """End the slot's session."""
        self.open.remove(slot)
        self.gate.release(slot)

    def end_recalled(self) -> int:
        """Let the recalled sessions reach the end of their message; how many there were."""
        recalled = [slot for slot in self.open if slot.is_recalled]
        for slot in recalled:
            self.end(slot)
        return len(recalled)


async def pass_time(clock: Clock, seconds: float, *processes: Process) -> None:
    """Let time pass for several processes; recalled sessions end and are wanted again."""
    until = clock.now + seconds
    while clock.now < until:
        dues = [due for process in processes if (due := await process.settle()) is not None]
        clock.now = min(until, clock.now + max(0.1, min(dues, default=seconds)))
        for process in processes:
            await process.settle()
            await process.want(process.end_recalled())
            await process.settle()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> SlotServer:
    return SlotServer()


@pytest.fixture
async def process(server: SlotServer, clock: Clock) -> Process:
    return Process(server, clock)


@pytest.fixture
def stream() -> Stream:
    return Stream()
