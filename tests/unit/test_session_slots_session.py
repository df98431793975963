"""A session with a slot ends when the slot is recalled, loses no mail, and releases the slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import pytest

from flows.support.session_slots.slots import Slot, Slots
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
def slots() -> Slots:
    return Slots(clock=lambda: 0.0, changed=lambda: None)


async def taken(slots: Slots) -> Slot:
    slots.add()
    slot = await slots.take()
    assert slot is not None
    return slot


async def test_a_recalled_session_ends_after_its_current_message(slots: Slots) -> None:
    slot, mail = await taken(slots), Mail(10)
    await SlottedSession(Wire(3, slot), slot, slots).send(mail)
    assert (len(mail.settlements), len(mail.left)) == (3, 7)
    assert slot.idle_since is not None


async def test_a_session_that_waits_for_mail_ends_at_once_when_it_is_recalled(slots: Slots) -> None:
    slot, mail = await taken(slots), Mail(1, waits=True)
    sending = asyncio.create_task(SlottedSession(Wire(), slot, slots).send(mail))
    waiter = await mail.waiter()
    slot.recall()
    await asyncio.wait_for(sending, 10)
    assert waiter.cancelled()
    assert len(mail.settlements) == 1


async def test_mail_that_comes_together_with_the_recall_is_sent(slots: Slots) -> None:
    slot, mail = await taken(slots), Mail(0, waits=True)
    sending = asyncio.create_task(SlottedSession(Wire(), slot, slots).send(mail))
    (await mail.waiter()).set_result(cast("Envelope", 7))
    await asyncio.sleep(0)
    slot.recall()
    await asyncio.wait_for(sending, 10)
    assert mail.settlements == {7: ACCEPTED}


async def test_mail_that_comes_together_with_a_cancellation_is_settled(slots: Slots) -> None:
    slot, mail = await taken(slots), Mail(0, waits=True)
    sending = asyncio.create_task(SlottedSession(Wire(), slot, slots).send(mail))
    (await mail.waiter()).set_result(cast("Envelope", 7))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert mail.settlements[cast("Envelope", 7)].code is None  # not sent, and not lost
    assert slot.idle_since is not None


async def test_other_sessions_do_not_wait_for_a_slot_when_no_mail_is_left(slots: Slots) -> None:
    slot = await taken(slots)
    other = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    await SlottedSession(Wire(), slot, slots).send(Mail(2))
    assert await other is None


async def test_another_session_gets_the_slot_of_one_that_ends_with_mail_left(slots: Slots) -> None:
    slot = await taken(slots)
    other = asyncio.create_task(slots.take())
    await asyncio.sleep(0)

    class Short(Wire):
        async def send(self, feed: Feed) -> None:
            feed.settled(cast("Envelope", await feed.next()), ACCEPTED)

    await SlottedSession(Short(), slot, slots).send(Mail(2))
    assert await other is slot


async def test_an_aborted_session_releases_its_slot(slots: Slots) -> None:
    slot, wire = await taken(slots), Wire()
    SlottedSession(wire, slot, slots).abort()
    assert wire.is_aborted
    assert slot.idle_since is not None


async def test_a_session_that_cannot_be_opened_releases_its_slot_and_ends_the_waits(
    slots: Slots,
) -> None:
    async def refused(_: Connection) -> Session:
        await asyncio.sleep(0)
        raise SessionError(Attempt(Phase.LOGIN, 535, "no"))

    slots.add()
    first, second = (asyncio.create_task(open_with_slot(RED, slots, refused)) for _ in range(2))
    with pytest.raises(SessionError, match="535"):
        await first
    assert isinstance(await second, NoSession)
    assert [slot.idle_since is not None for slot in slots.all] == [True]
