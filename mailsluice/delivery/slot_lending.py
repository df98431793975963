"""Slots that are kept on one event loop, and used by sessions elsewhere.

The sessions run on the loop of the engine, or in another process; the slots are kept where the
calls to their server hold no mail up. A borrower numbers its requests (tickets), so that a request
that is withdrawn while its slot is on the way leaves no slot behind: the desk handles messages in
their order, and gives back whatever a ticket stands for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from mailsluice.delivery.slotted_session import Slot, SlotSource


class Desk(Protocol):
    """The lender as a borrower sees it. Every call returns at once."""

    def ask(self, ticket: int) -> None:
        """Ask for a slot; the answer is a call of `BorrowedSlots.answered`."""

    def give_back(self, ticket: int) -> None:
        """Release the slot of this ticket, or withdraw the request for it."""

    def dismiss(self) -> None:
        """See `SlotSource.dismiss`."""


class BorrowedSlot:
    """A slot that a desk has lent. Implements `Slot`."""

    __slots__ = ("is_recalled", "on_recall", "ticket")

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket
        self.is_recalled = False
        self.on_recall: Callable[[], None] | None = None


class BorrowedSlots:
    """The slots of one connection, borrowed from a desk. Implements `SlotSource`.

    Call the methods on one loop only.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tickets = 0
        self._asked: dict[int, asyncio.Future[BorrowedSlot | None]] = {}
        self._lent: dict[int, BorrowedSlot] = {}

    async def take(self) -> BorrowedSlot | None:
        self._tickets += 1
        ticket = self._tickets
        answer: asyncio.Future[BorrowedSlot | None] = asyncio.get_running_loop().create_future()
        self._asked[ticket] = answer
        self._desk.ask(ticket)
        try:
            return await answer
        except asyncio.CancelledError:
            self._asked.pop(ticket, None)
            self._lent.pop(ticket, None)
            self._desk.give_back(ticket)
            raise

    def release(self, slot: BorrowedSlot) -> None:
        if self._lent.pop(slot.ticket, None):
            self._desk.give_back(slot.ticket)

    def dismiss(self) -> None:
        self._desk.dismiss()

    def answered(self, ticket: int, is_lent: bool, trouble: Exception | None = None) -> None:
        """Take the desk's answer; `take` raises the `trouble`."""
        asked = self._asked.pop(ticket, None)
        if asked is None or asked.done():
            return  # withdrawn, and given back
        if trouble:
            asked.set_exception(trouble)
        elif is_lent:
            slot = self._lent[ticket] = BorrowedSlot(ticket)
            asked.set_result(slot)
        else:
            asked.set_result(None)

    def recalled(self, ticket: int) -> None:
        """End the session of this ticket, between two messages."""
        if slot := self._lent.get(ticket):
            slot.is_recalled = True
            if slot.on_recall:
                slot.on_recall()


class SlotDesk:
    """Lends the slots of one connection to one borrower. Implements `Desk`, on the slots' loop.

    Args:
        slots: The slots to lend.
        answer: Sends an answer to `BorrowedSlots.answered`.
        recall: Sends a recall to `BorrowedSlots.recalled`.
    """

    def __init__(
        self,
        slots: SlotSource[Any],
        answer: Callable[[int, bool, Exception | None], None],
        recall: Callable[[int], None],
    ) -> None:
        self._slots = slots
        self._answer = answer
        self._recall = recall
        self._asked: dict[int, asyncio.Task[None]] = {}
        self._lent: dict[int, Slot] = {}

    def ask(self, ticket: int) -> None:
        self._asked[ticket] = asyncio.ensure_future(self._lend(ticket))

    def give_back(self, ticket: int) -> None:
        if slot := self._lent.pop(ticket, None):
            self._slots.release(slot)
        elif asked := self._asked.pop(ticket, None):
            asked.cancel()

    def dismiss(self) -> None:
        self._slots.dismiss()

    def close(self) -> None:
        """Give back everything: the borrower has ended."""
        for ticket in [*self._lent, *self._asked]:
            self.give_back(ticket)

    async def _lend(self, ticket: int) -> None:
        try:
            slot = await self._slots.take()
        except Exception as error:  # noqa: BLE001 the borrower raises it
            self._asked.pop(ticket, None)
            self._answer(ticket, False, error)
            return
        self._asked.pop(ticket, None)
        if slot is None:
            self._answer(ticket, False, None)
            return
        self._lent[ticket] = slot
        slot.on_recall = partial(self._recall, ticket)
        self._answer(ticket, True, None)
        if slot.is_recalled:
            self._recall(ticket)


class LoopDesk:
    """The desk of slots on another loop of this process. Implements `Desk`, on the borrower's loop.

    `slots` is called on the slots' loop, at the first request.
    """

    def __init__(
        self, slots: Callable[[], SlotSource[Any]], slots_loop: asyncio.AbstractEventLoop
    ) -> None:
        self._slots = slots
        self._slots_loop = slots_loop
        self._here = asyncio.get_running_loop()
        self._desk: SlotDesk | None = None
        self.borrowed = BorrowedSlots(self)

    def ask(self, ticket: int) -> None:
        self._there(lambda desk: desk.ask(ticket))

    def give_back(self, ticket: int) -> None:
        self._there(lambda desk: desk.give_back(ticket))

    def dismiss(self) -> None:
        self._there(SlotDesk.dismiss)

    def _there(self, act: Callable[[SlotDesk], None]) -> None:
        self._slots_loop.call_soon_threadsafe(lambda: act(self._opened()))

    def _opened(self) -> SlotDesk:
        if self._desk is None:
            self._desk = SlotDesk(self._slots(), self._answer, self._recall)
        return self._desk

    def _answer(self, ticket: int, is_lent: bool, trouble: Exception | None) -> None:
        self._here.call_soon_threadsafe(self.borrowed.answered, ticket, is_lent, trouble)

    def _recall(self, ticket: int) -> None:
        self._here.call_soon_threadsafe(self.borrowed.recalled, ticket)
