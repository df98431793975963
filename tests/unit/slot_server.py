"""The Prefect side of session slots, in memory: a limit over several processes, with a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from prefect.events import Event

from flows.support.session_slots.limit import LimitState, SlotsUnavailableError


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
        self.name = "smtp-red"
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
        (await self._call("clear")).taken = 0

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
