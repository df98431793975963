"""How many sessions of one connection may be open in this process. Calls no server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Slot:
    """The permission for one session."""

    __slots__ = ("is_recalled", "on_recall")

    def __init__(self) -> None:
        self.is_recalled = False
        """Whether its session is to end after the current message."""
        self.on_recall: Callable[[], None] | None = None

    def recall(self) -> None:
        """End the slot's session, between two messages."""
        self.is_recalled = True
        if self.on_recall:
            self.on_recall()


class Gate:
    """Hands out slots, up to the number that is allowed. Implements `SlotSource`.

    Call it on one loop only.
    """

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        """Is called when a session opens, waits, or ends."""
        self.allowed = 0
        """How many sessions may be open."""
        self._slots: list[Slot] = []
        self._waiters: deque[asyncio.Future[Slot | None]] = deque()
        self._failure: BaseException | None = None

    async def take(self) -> Slot | None:
        """Wait for a slot; None where `dismiss` ended the wait."""
        if self._failure:
            raise self._failure
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._hand_out()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self.release(waiter.result())
            self._hand_out()
            raise

    def release(self, slot: Slot | None) -> None:
        """Free the slot of a session that has ended, or was not opened. Idempotent."""
        if slot in self._slots:
            self._slots.remove(slot)
            self._hand_out()

    def dismiss(self) -> None:
        """End all waits: there is no mail for one more session, or the server is in trouble.

        A caller that still needs a session asks again.
        """
        for waiter in self._waiting():
            waiter.set_result(None)
        self._hand_out()

    def allow(self, sessions: int) -> None:
        """Let so many sessions be open, and recall those above this number."""
        if sessions == self.allowed:
            return
        self.allowed = sessions
        staying = [slot for slot in self._slots if not slot.is_recalled]
        for slot in staying[sessions:]:
            slot.recall()
        self._hand_out()

    def fail(self, error: BaseException) -> None:
        """Raise this error in all present and future calls of `take`."""
        self._failure = error
        for waiter in self._waiting():
            waiter.set_exception(error)

    @property
    def open(self) -> int:
        """Sessions that have a slot, recalled ones included."""
        return len(self._slots)

    @property
    def waiting(self) -> int:
        """Sessions that wait for a slot."""
        return len(self._waiting())

    @property
    def wanted(self) -> int:
        """Slots that would be in use if there were enough."""
        return self.open + self.waiting

    def _hand_out(self) -> None:
        waiting = self._waiting()
        while waiting and len(self._slots) < self.allowed:
            slot = Slot()
            self._slots.append(slot)
            waiting.popleft().set_result(slot)
        self._waiters = waiting
        self.changed()

    def _waiting(self) -> deque[asyncio.Future[Slot | None]]:
        """The waits that have not ended."""
        return deque(waiter for waiter in self._waiters if not waiter.done())
