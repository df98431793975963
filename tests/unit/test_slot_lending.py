"""Slots that are lent across loops: none is lost, whatever is withdrawn or recalled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from flows.support.session_slots.slots import Slots
from mailsluice.delivery.engine import Engine
from mailsluice.delivery.slot_lending import BorrowedSlots, LoopDesk, SlotDesk


@pytest.fixture
def slots() -> Slots:
    return Slots(clock=lambda: 0.0, changed=lambda: None)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


class Slow:
    """A desk whose messages arrive when the test says so, in their order. Implements `Desk`."""

    def __init__(self, slots: Slots) -> None:
        self.borrowed = BorrowedSlots(self)
        self.desk = SlotDesk(slots, self.borrowed.answered, self.borrowed.recalled)
        self._requests: list[tuple[str, int]] = []

    def ask(self, ticket: int) -> None:
        self._requests.append(("ask", ticket))

    def give_back(self, ticket: int) -> None:
        self._requests.append(("give_back", ticket))

    def dismiss(self) -> None:
        self.desk.dismiss()

    def pass_on(self) -> None:
        for name, ticket in self._requests:
            getattr(self.desk, name)(ticket)
        self._requests.clear()

    async def deliver(self) -> None:
        self.pass_on()
        for _ in range(3):
            await asyncio.sleep(0)


def free(slots: Slots) -> list[bool]:
    return [slot.idle_since is not None for slot in slots.all]


async def test_a_slot_is_lent_on_another_loop_and_comes_back(slots: Slots, engine: Engine) -> None:
    """Its keeper's calls stay on the loop of the flow, which is not the one that sends."""
    threads: list[threading.Thread] = []

    def source() -> Slots:
        threads.append(threading.current_thread())
        return slots

    loop = asyncio.get_running_loop()

    async def use() -> bool:
        borrowed = LoopDesk(source, loop).borrowed
        slot = await borrowed.take()
        assert slot is not None
        was_free = free(slots)
        borrowed.release(slot)
        return was_free == [False]

    slots.add()
    assert await engine.run(use())
    await asyncio.sleep(0)
    assert free(slots) == [True]
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize("is_lent", [False, True])
async def test_a_withdrawn_request_leaves_no_slot_behind(slots: Slots, is_lent: bool) -> None:
    slow = Slow(slots)
    taking = asyncio.create_task(slow.borrowed.take())
    await asyncio.sleep(0)
    if is_lent:
        slots.add()
        slow.pass_on()
        await asyncio.sleep(0)  # the answer is on its way when the request is withdrawn
    else:
        await slow.deliver()
        slots.add()
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await slow.deliver()
    assert free(slots) == [True]
    assert slots.waiting == 0


async def test_a_recall_reaches_the_borrower(slots: Slots) -> None:
    slow = Slow(slots)
    slots.add()
    taking = asyncio.create_task(slow.borrowed.take())
    await asyncio.sleep(0)
    await slow.deliver()
    borrowed = await taking
    assert borrowed is not None
    recalls: list[bool] = []
    borrowed.on_recall = lambda: recalls.append(True)
    slots.recall(1)
    assert borrowed.is_recalled
    assert recalls == [True]


async def test_a_borrower_that_has_ended_keeps_nothing(slots: Slots) -> None:
    slow = Slow(slots)
    slots.add()
    taking = [asyncio.create_task(slow.borrowed.take()) for _ in range(2)]
    await asyncio.sleep(0)
    await slow.deliver()
    assert (free(slots), slots.waiting) == ([False], 1)
    slow.desk.close()
    await asyncio.sleep(0)
    assert (free(slots), slots.waiting) == ([True], 0)
    taking[1].cancel()
    await asyncio.gather(*taking, return_exceptions=True)


async def test_the_failure_of_the_slots_is_raised_by_the_borrower(slots: Slots) -> None:
    slow = Slow(slots)
    slots.fail(OSError("no server"))
    taking = asyncio.create_task(slow.borrowed.take())
    await asyncio.sleep(0)
    await slow.deliver()
    with pytest.raises(OSError, match="no server"):
        await taking
