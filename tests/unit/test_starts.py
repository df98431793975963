"""The stock of starts: asked for ahead, used in time, or asked for again."""

from __future__ import annotations

import asyncio

import pytest

from mailsluice.delivery.starts import StartStock
from mailsluice.limits import Estate, Limit, Report, Rules, Usage, exchange
from mailsluice.store import Ask, Starts

TWICE_AN_HOUR = {"red": Rules((Limit(2, 3_600.0),))}
HALF_AN_HOUR = 1_800.0


class Memory:
    """The shared usage of limits, on the test's clock. Implements `StartSource`."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.usage = Usage()
        self.asks = 0

    async def reserve(self, ask: Ask) -> Starts:
        self.asks += 1
        now, under = self.now, [(self.usage, ask.rules["red"])]
        report = Report(ask.holder, ask.open, ask.replies, ask.answered, ask.stock)
        moments, next_at = exchange(under, report, now, now + ask.horizon_seconds, ask.most)
        return Starts(moments, next_at, None, now + 30)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def stock(memory: Memory) -> StartStock:
    found = StartStock("one", memory, clock=lambda: memory.now, changed=lambda: None)
    found.follow(TWICE_AN_HOUR)
    return found


async def ready_at(stock: StartStock, memory: Memory) -> float:
    """Ask until it is known in how many seconds the next message may start."""
    while (at := stock.ready_at(memory.now)) == float("inf"):  # noqa: ASYNC110
        await asyncio.sleep(0)
    return at - memory.now


async def test_the_first_start_is_now_and_the_next_half_an_hour_later(
    stock: StartStock, memory: Memory
) -> None:
    assert await ready_at(stock, memory) == pytest.approx(0, abs=0.01)
    stock.started()
    stock.finished()
    assert await ready_at(stock, memory) == pytest.approx(HALF_AN_HOUR, rel=0.01)
    await stock.close()


@pytest.mark.parametrize("late_seconds", [0.6, 5.0])
async def test_a_start_that_was_not_used_in_time_is_requested_again(
    stock: StartStock, memory: Memory, late_seconds: float
) -> None:
    """A session may take seconds to open; the limit's next start may be hours away."""
    await ready_at(stock, memory)
    memory.now += late_seconds
    assert await ready_at(stock, memory) == pytest.approx(0, abs=0.01)
    stock.started()
    stock.finished()
    assert await ready_at(stock, memory) == pytest.approx(HALF_AN_HOUR, rel=0.01)
    await stock.close()


async def test_the_start_of_a_message_that_did_not_reach_the_server_is_used_again(
    stock: StartStock, memory: Memory
) -> None:
    await ready_at(stock, memory)
    stock.started()
    stock.unused()
    assert await ready_at(stock, memory) == pytest.approx(0, abs=0.01)
    stock.started()
    stock.finished()
    assert await ready_at(stock, memory) == pytest.approx(HALF_AN_HOUR, rel=0.01)
    await stock.close()


async def test_no_more_starts_are_requested_than_can_be_used_soon(memory: Memory) -> None:
    """A high limit would grant thousands, over and over: to each of thousands of lanes."""
    stock = StartStock(
        "one", memory, clock=lambda: memory.now, changed=lambda: None, wanted=lambda: 10
    )
    stock.follow({"red": Rules((Limit(20_000, 1.0),))})
    await ready_at(stock, memory)
    assert (memory.asks, memory.usage.open_starts) == (1, 10)
    for asks in (1, 1, 1, 1, 1, 2):  # more when half of them are used
        memory.now += 0.001
        assert await ready_at(stock, memory) == 0
        await asyncio.sleep(0)
        assert memory.asks == asks
        stock.started()
        stock.finished()
    await stock.close()


async def test_a_sender_that_was_killed_leaves_its_unused_starts_to_the_next(
    memory: Memory,
) -> None:
    notes: list[tuple[int, int]] = []

    def stock(holder: str) -> StartStock:
        stock = StartStock(
            holder,
            memory,
            clock=lambda: memory.now,
            changed=lambda: None,
            note=lambda in_flight, answered: notes.append((in_flight, answered)),
        )
        stock.follow({"red": Rules((Limit(20, 1.0),))})
        return stock

    killed = stock("killed")
    for _ in range(5):
        memory.now += await ready_at(killed, memory)
        killed.started()
        killed.finished()
    memory.now += await ready_at(killed, memory)
    killed.started()
    assert notes[-1] == (1, 5)
    assert memory.usage.open["killed"].granted > 5
    memory.usage.estates.append(Estate("killed", *notes[-1]))
    heir = stock("heir")
    memory.now += await ready_at(heir, memory)
    heir.started()
    assert memory.usage.open["killed"].granted == 1
    assert memory.usage.replied[1.0].total == 5
    heir.finished()
    await heir.close()
    assert memory.usage.open_starts == 1
