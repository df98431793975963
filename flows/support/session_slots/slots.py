"""The slots of one connection in this process, and the sessions that wait. Calls no server."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from uuid import UUID

LINGER_SECONDS = 2.0  # a slot outlives its session, so that the next session needs no call


class Slot:
    """The permission for one session at a time."""

    __slots__ = ("idle_since", "is_recalled", "lease", "on_recall", "renew_at")

    def __init__(self, now: float) -> None:
        self.lease: UUID | None = None
        """None where the server does not count it: the server is away, or the limit deactivated."""
        self.renew_at = math.inf
        self.idle_since: float | None = now
        self.is_recalled = False
        """Whether its session is to end after the current message."""
        self.on_recall: Callable[[], None] | None = None

    def recall(self) -> None:
        """End the slot's session, between two messages."""
        self.is_recalled = True
        if self.on_recall:
            self.on_recall()

    @property
    def ends_at(self) -> float:
        """When the slot is to be released on the server."""
        if self.idle_since is None:
            return math.inf
        return -math.inf if self.is_recalled else self.idle_since + LINGER_SECONDS


class Slots:
    """The slots that this process holds of one connection. Call it on one loop only."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._slots: list[Slot] = []
        self._waiters: deque[asyncio.Future[Slot | None]] = deque()
        self.waiting_since = math.inf
        self._failure: Exception | None = None

    async def take(self) -> Slot | None:
        """Wait for a slot; None where `dismiss` ended the wait."""
        if self._failure:
            raise self._failure
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        if not self.waiting:
            self.waiting_since = self._clock()
        self._waiters.append(waiter)
        self._hand_out()
        self._changed()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and not waiter.exception() and (slot := waiter.result()):
                self.release(slot)
            raise

    def release(self, slot: Slot) -> None:
        """Free the slot of a session that has ended, or was not opened. Idempotent."""
        if slot.idle_since is None:
            slot.idle_since, slot.on_recall = self._clock(), None
            self._hand_out()
            self._changed()

    def dismiss(self) -> None:
        """End all waits: there is no mail for one more session, or the server is in trouble.

        A caller that still needs a session asks again.
        """
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    # For the keeper

    @property
    def waiting(self) -> int:
        """How many sessions wait for a slot."""
        return sum(not waiter.done() for waiter in self._waiters)

    @property
    def all(self) -> tuple[Slot, ...]:
        return tuple(self._slots)

    @property
    def staying(self) -> list[Slot]:
        """The slots that are not recalled."""
        return [slot for slot in self._slots if not slot.is_recalled]

    def add(self) -> Slot:
        """Add a slot for a waiting session."""
        slot = Slot(self._clock())
        self._slots.append(slot)
        self._hand_out()
        return slot

    def remove(self, slot: Slot) -> None:
        self._slots.remove(slot)

    def recall(self, count: int) -> None:
        """Recall so many slots: idle ones first, then those that the server does not count."""
        order = sorted(
            self.staying, key=lambda slot: (slot.idle_since is None, slot.lease is not None)
        )
        for slot in order[: max(count, 0)]:
            slot.recall()

    def fail(self, error: Exception) -> None:
        """Raise this error in all present and future calls of `take`."""
        self._failure = error
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()

    def _hand_out(self) -> None:
        for slot in self._slots:
            if slot.idle_since is None or slot.is_recalled:
                continue
            while self._waiters and self._waiters[0].done():  # the caller was cancelled
                self._waiters.popleft()
            if not self._waiters:
                return
            slot.idle_since = None
            self._waiters.popleft().set_result(slot)
