"""Slots that are lent across loops: none is lost, whatever is withdrawn or recalled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from flows.support.session_slots.gate import Gate
from mailsluice.delivery.engine import Engine
from mailsluice.delivery.slot_lending import BorrowedSlots, LoopDesk, SlotDesk


@pytest.fixture
def slots() -> Gate:
    return Gate()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


class Slow:
    """A desk whose messages arrive when the test says so, in their order. Implements `Desk`."""

    def __init__(self, slots: Gate) -> None:
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


async def test_a_slot_is_lent_on_another_loop_and_comes_back(slots: Gate, engine: Engine) -> None:
    """Its keeper's calls stay on the loop of the flow, which is not the one that sends."""
    threads: list[threading.Thread] = []

    def source() -> Gate:
        threads.append(threading.current_thread())
        return slots

    loop = asyncio.get_running_loop()

    async def use() -> bool:
        borrowed = LoopDesk(source, loop).borrowed
        slot = await borrowed.take()
        assert slot is not None
        open_meanwhile = slots.open
        borrowed.release(slot)
        return open_meanwhile == 1

    slots.allow(1)
    assert await engine.run(use())
    await asyncio.sleep(0)
    assert slots.open == 0
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize("is_lent", [False, True])
async def test_a_withdrawn_request_leaves_no_slot_behind(slots: Gate, is_lent: bool) -> None:
    slow = Slow(slots)
    taking = asyncio.create_task(slow.borrowed.take())
    await asyncio.sleep(0)
    if is_lent:
        slots.allow(1)
        slow.pass_on()
        await asyncio.sleep(0)  # the answer is on its way when the request is withdrawn
    else:
        await slow.deliver()
        slots.allow(1)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await slow.deliver()
    assert slots.open == 0
    assert slots.waiting == 0


async def test_a_recall_reaches_the_borrower(slots: Gate) -> None:
    slow = Slow(slots)
    slots.allow(1)
    taking = asyncio.create_task(slow.borrowed.take())
    await asyncio.sleep(0)
    await slow.deliver()
    borrowed = await taking
    assert borrowed is not None
    recalls: list[bool] = []
    borrowed.on_recall = lambda: recalls.append(True)
    slots.allow(0)
    assert borrowed.is_recalled
    assert recalls == [True]


async def test_a_borrower_that_has_ended_keeps_nothing(slots: Gate) -> None:
    slow = Slow(slots)
    slots.allow(1)
    taking = [asyncio.create_task(slow.borrowed.take()) for _ in range(2)]
    await asyncio.sleep(0)
    await slow.deliver()
    assert (slots.open, slots.waiting) == (1, 1)
    slow.desk.close()
    await asyncio.sleep(0)
    assert (slots.open, slots.waiting) == (0, 0)
    taking[1].cancel()
    await asyncio.gather(*taking, return_exceptions=True)


async def test_the_failure_of_the_slots_is_raised_by_the_borrower(slots: Gate) -> None:
    slow = Slow(slots)
    slots.fail(OSError("no server"))
    taking = asyncio.create_task(slow.borrowed.take())
    await asyncio.sleep(0)
    await slow.deliver()
    with pytest.raises(OSError, match="no server"):
        await taking
