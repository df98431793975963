"""A session with a slot ends when the slot is recalled, loses no mail, and releases the slot."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import pytest

from flows.support.session_slots import SessionSlots
from flows.support.session_slots.gate import Gate, Slot
from flows.support.session_slots.keeper import SlotKeeper
from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.delivery.slotted_session import NoSession, SlottedSession, open_with_slot
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Feed, Session, SessionError

ACCEPTED = Attempt(Phase.BODY, 250, "ok")
RED = Connection("red", "smtp.example.com", 587)


class Mail:
    """A feed of so many envelopes, which then waits or ends. Implements `Feed`."""

    def __init__(self, number: int, *, waits: bool = False) -> None:
        self.left = deque(cast("Iterable[Envelope]", range(1, number + 1)))
        self.settlements: dict[Any, Attempt] = {}
        self._waits = waits
        self._waiting: asyncio.Future[asyncio.Future[Envelope | None]] = asyncio.Future()

    async def next(self) -> Envelope | None:
        if self.left or not self._waits:
            return self.next_nowait()
        waiter: asyncio.Future[Envelope | None] = asyncio.Future()
        self._waiting.set_result(waiter)
        return await waiter

    async def waiter(self) -> asyncio.Future[Envelope | None]:
        """The future that a session waits for, once one waits."""
        return await self._waiting

    def next_nowait(self) -> Envelope | None:
        return self.left.popleft() if self.left else None

    def dot(self, envelope: Envelope) -> None: ...

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        assert envelope not in self.settlements
        self.settlements[envelope] = attempt


class Wire:
    """Sends one after the other. Implements `Session`."""

    def __init__(self, recalled_at: int | None = None, slot: Slot | None = None) -> None:
        self._recalled_at = recalled_at
        self._slot = slot
        self.sent = 0
        self.is_aborted = False

    async def send(self, feed: Feed) -> None:
        while (envelope := await feed.next()) is not None:
            await asyncio.sleep(0)
            feed.settled(envelope, ACCEPTED)
            self.sent += 1
            if self.sent == self._recalled_at and self._slot:
                self._slot.recall()

    def abort(self) -> None:
        self.is_aborted = True


@pytest.fixture
def gate() -> Gate:
    """A gate for one session."""
    gate = Gate()
    gate.allow(1)
    return gate


async def taken(gate: Gate) -> Slot:
    slot = await gate.take()
    assert slot is not None
    return slot


async def test_a_recalled_session_ends_after_its_current_message(gate: Gate) -> None:
    slot, mail = await taken(gate), Mail(10)
    await SlottedSession(Wire(3, slot), slot, gate).send(mail)
    assert (len(mail.settlements), len(mail.left)) == (3, 7)
    assert gate.open == 0


async def test_a_session_that_waits_for_mail_ends_at_once_when_it_is_recalled(gate: Gate) -> None:
    slot, mail = await taken(gate), Mail(1, waits=True)
    sending = asyncio.create_task(SlottedSession(Wire(), slot, gate).send(mail))
    waiter = await mail.waiter()
    slot.recall()
    await asyncio.wait_for(sending, 10)
    assert waiter.cancelled()
    assert len(mail.settlements) == 1


async def test_mail_that_comes_together_with_the_recall_is_sent(gate: Gate) -> None:
    slot, mail = await taken(gate), Mail(0, waits=True)
    sending = asyncio.create_task(SlottedSession(Wire(), slot, gate).send(mail))
    (await mail.waiter()).set_result(cast("Envelope", 7))
    await asyncio.sleep(0)
    slot.recall()
    await asyncio.wait_for(sending, 10)
    assert mail.settlements == {7: ACCEPTED}


async def test_mail_that_comes_together_with_a_cancellation_is_settled(gate: Gate) -> None:
    slot, mail = await taken(gate), Mail(0, waits=True)
    sending = asyncio.create_task(SlottedSession(Wire(), slot, gate).send(mail))
    (await mail.waiter()).set_result(cast("Envelope", 7))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert mail.settlements[cast("Envelope", 7)].code is None  # not sent, and not lost
    assert gate.open == 0


async def test_other_sessions_do_not_wait_for_a_slot_when_no_mail_is_left(gate: Gate) -> None:
    slot = await taken(gate)
    other = asyncio.create_task(gate.take())
    await asyncio.sleep(0)
    await SlottedSession(Wire(), slot, gate).send(Mail(2))
    assert await other is None


async def test_another_session_gets_a_slot_when_one_ends_with_mail_left(gate: Gate) -> None:
    slot = await taken(gate)
    other = asyncio.create_task(gate.take())
    await asyncio.sleep(0)

    class Short(Wire):
        async def send(self, feed: Feed) -> None:
            feed.settled(cast("Envelope", await feed.next()), ACCEPTED)

    await SlottedSession(Short(), slot, gate).send(Mail(2))
    assert await other is not None


async def test_an_aborted_session_releases_its_slot(gate: Gate) -> None:
    slot, wire = await taken(gate), Wire()
    SlottedSession(wire, slot, gate).abort()
    assert wire.is_aborted
    assert gate.open == 0


async def test_a_session_that_cannot_be_opened_releases_its_slot_and_ends_the_waits(
    gate: Gate,
) -> None:
    async def refused(_: Connection) -> Session:
        await asyncio.sleep(0)
        raise SessionError(Attempt(Phase.LOGIN, 535, "no"))

    first, second = (asyncio.create_task(open_with_slot(RED, gate, refused)) for _ in range(2))
    with pytest.raises(SessionError, match="535"):
        await first
    assert isinstance(await second, NoSession)
    assert gate.open == 0


async def test_a_slot_is_not_lost_with_a_cancelled_opening() -> None:
    gate = Gate()
    opening = asyncio.create_task(gate.take())
    await asyncio.sleep(0)
    gate.allow(1)  # granted, and before it knows ...
    opening.cancel()  # ... the connection sender has stopped
    await asyncio.gather(opening, return_exceptions=True)
    assert (gate.open, gate.waiting, gate.allowed) == (0, 0, 1)


async def test_fewer_slots_recall_the_sessions_above_and_count_them_until_they_end() -> None:
    gate = Gate()
    gate.allow(3)
    slots = [await taken(gate) for _ in range(3)]
    gate.allow(1)
    assert [slot.is_recalled for slot in slots] == [False, True, True]
    waiting = asyncio.create_task(gate.take())
    await asyncio.sleep(0)
    assert (gate.open, gate.waiting, gate.allowed) == (3, 1, 1)
    gate.release(slots[2])
    gate.release(slots[2])
    assert gate.open == 2
    gate.release(slots[0])
    gate.release(slots[1])
    assert await waiting is not None
    assert (gate.open, gate.waiting, gate.allowed) == (1, 0, 1)


async def test_a_keeper_that_fails_ends_all_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: SlotKeeper) -> float | None:
        await asyncio.sleep(0)
        raise RuntimeError("a fault of ours")

    async def never(_: Connection) -> Session:
        raise AssertionError

    monkeypatch.setattr(SlotKeeper, "step", broken)
    slots = SessionSlots(RED, logging.getLogger("run"), never)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await slots.open(RED)
    await slots.close()
