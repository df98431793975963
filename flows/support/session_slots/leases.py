"""The leases by which one process holds slots of a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

from flows.support.session_slots.limit import LEASE_SECONDS
from flows.support.session_slots.limit_state import HostLimit, LimitState
from flows.support.session_slots.sharing import Lease, Share

RENEW_SECONDS = LEASE_SECONDS * 2 / 3


class SlotClient(Protocol):
    """The calls to `SlotLimit`; each may raise SlotsUnavailableError."""

    host: HostLimit | None

    @property
    def names(self) -> list[str]: ...
    async def read(self, max_sessions: int) -> LimitState: ...
    async def acquire(self, slots: int) -> UUID | None: ...
    async def renew(self, lease: UUID) -> bool: ...
    async def release(self, lease: UUID) -> None: ...
    async def clear(self) -> None: ...
    async def release_stale(self) -> None: ...
    async def close(self) -> None: ...


class Leases:
    """Acquires, renews and releases leases, and notes how many slots are taken then.

    Each request raises SlotsUnavailableError where the server does not answer.
    """

    def __init__(
        self,
        limit: SlotClient,
        share: Share,
        clock: Callable[[], float],
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called after each answer of the server."""
        self._limit = limit
        self._share = share
        self._clock = clock
        self._answered = answered
        self.all: list[Lease] = []

    @property
    def held(self) -> int:
        """How many slots the process holds."""
        return sum(lease.slots for lease in self.all)

    async def acquire(self, slots: int) -> None:
        """Acquire so many slots, if no other process was faster."""
        now = self._clock()
        lease = await self._limit.acquire(slots)
        self._answered()
        self._share.add_taken(slots if lease else self._share.free)
        if lease:
            self.all.append(Lease(lease, slots, now + RENEW_SECONDS))

    async def renew(self) -> None:
        """Renew the leases that are due; sessions whose lease is lost stay open."""
        for lease in [lease for lease in self.all if lease.renew_at <= self._clock()]:
            now = self._clock()
            if await self._limit.renew(lease.id):
                lease.renew_at = now + RENEW_SECONDS
            else:
                self.all.remove(lease)
                self._share.add_taken(-lease.slots)

    async def release(self, leaving: Iterable[Lease]) -> None:
        """Release some of the leases."""
        for lease in tuple(leaving):
            await self._limit.release(lease.id)
            self._answered()
            self.all.remove(lease)
            self._share.add_taken(-lease.slots)
