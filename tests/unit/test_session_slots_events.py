"""The slots of sessions where events tell of changes: few requests, and shares at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest

from flows.support.session_slots.keeper import (
    RARE_TURN_SECONDS,
    SPARE_SECONDS,
)
from flows.support.session_slots.leases import RENEW_SECONDS
from flows.support.session_slots.sharing import PASS_SECONDS
from tests.unit.slot_server import Clock, Process, SlotServer, Stream, pass_time
from tests.unit.slot_server import clock as clock
from tests.unit.slot_server import process as process
from tests.unit.slot_server import server as server
from tests.unit.slot_server import stream as stream


async def test_with_events_a_long_campaign_asks_for_little_more_than_a_short_one(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, max_sessions=20, stream=stream)
    await process.want(20)
    await process.after(3600)
    calls = Counter(server.calls)
    assert calls["acquire"] == 2  # one slot for the first session, and all others together
    assert calls["read"] == 1
    assert calls["renew"] <= 2 * 3600 / RENEW_SECONDS
    assert calls.total() - calls["read"] - calls["renew"] == 3


async def test_a_process_that_sends_a_part_takes_no_slots_of_the_others(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    """A process with all slots would have to end sessions, which wait for their server, first."""
    processes = [Process(server, clock, max_sessions=10, stream=stream, shards=3) for _ in range(3)]
    for one in processes:
        await one.want(4)
        await one.settle()
    assert server.limit == 10  # of the whole connection
    assert [len(process.open) for process in processes] == [4, 4, 2]


async def test_sessions_that_come_and_go_cost_no_request(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(2)
    await process.settle()
    before = list(server.calls)
    for _ in range(10):
        process.end(process.open[0])
        await process.after(SPARE_SECONDS / 20)
        await process.want(2)
        await process.settle()
        process.end(process.open[0])
    assert server.calls == before


async def test_a_stream_that_is_lost_ends_no_session(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, max_sessions=10, stream=stream)
    await process.want(3)
    await process.settle()
    assert server.taken == 10
    stream.is_lost = True
    server.is_away = True
    await process.after(600)
    assert (len(process.open), process.end_recalled()) == (3, 0)
    server.is_away = False
    await process.after(60)
    assert (len(process.open), process.end_recalled()) == (3, 0)


async def test_slots_are_released_when_there_is_no_session_for_long(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(2)
    await process.settle()
    for slot in list(process.open):
        process.end(slot)
    await process.after(SPARE_SECONDS)
    assert (server.taken, server.leases) == (0, {})
    assert await process.settle() is None


async def test_a_changed_limit_is_read_until_its_change_is_stored(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(4)
    await process.settle()
    stream.tell(server)
    await process.after(2)
    assert process.end_recalled() == 0
    server.limit = 1  # is committed
    await process.after(3)
    assert process.end_recalled() == 3
    await process.want(3)
    await process.after(60)
    assert (len(process.open), server.taken) == (1, 1)
    server.limit = 3
    stream.tell(server)
    await process.settle()
    assert (len(process.open), server.taken) == (3, 3)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("smtp-green", "deleted"),
        ("smtp-green", "updated"),
        ("database", "acquired"),  # Prefect's `concurrency()` in another flow
    ],
)
async def test_events_of_other_limits_change_nothing(
    server: SlotServer, clock: Clock, stream: Stream, name: str, event: str
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(4)
    await process.settle()
    before = list(server.calls)
    resource = {"prefect.resource.id": f"prefect.concurrency-limit.{uuid4()}"}
    resource["prefect.resource.name"] = name
    payload = {"name": name, "limit": 1, "active": False} if event == "updated" else {}
    stream.emit(f"prefect.concurrency-limit.{event}", resource, payload)
    await process.after(10)
    assert server.calls == before
    assert (process.end_recalled(), server.taken) == (0, 4)


async def test_old_events_of_a_new_subscription_change_nothing(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(4)
    await process.settle()
    server.limit = 1
    stream.tell(server, occurred=server.updated - timedelta(seconds=5))
    server.limit = 4
    await process.after(60)
    assert process.end_recalled() == 0


async def test_a_deactivated_limit_is_left_and_counts_again(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    server.limit = 2
    await process.want(4)
    await process.settle()
    server.is_active = False
    stream.tell(server)
    await process.settle()
    assert (len(process.open), server.taken, server.leases) == (4, 0, {})
    server.is_active = True
    stream.tell(server)
    await process.settle()
    process.end_recalled()
    await process.settle()
    assert (len(process.open), server.taken) == (2, 2)


async def test_a_deleted_limit_is_created_again_within_seconds(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(2)
    await process.settle()
    stream.tell(server, "deleted")
    await process.settle()  # the old limit can still be read
    server.delete()
    await process.after(15)
    assert process.end_recalled() == 0
    assert (server.limit, server.taken, len(process.open)) == (4, 4, 2)


async def test_a_process_without_a_slot_gets_one_at_once_and_its_share_later(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    processes = one, other, third = [
        Process(server, clock, max_sessions=6, stream=stream) for _ in range(3)
    ]
    await one.want(6)
    await one.settle()
    await other.want(6)
    await pass_time(clock, PASS_SECONDS, *processes)
    assert (len(one.open), len(other.open)) == (5, 1)
    await third.want(6)
    await pass_time(clock, PASS_SECONDS, *processes)
    assert third.open
    await pass_time(clock, 3 * RARE_TURN_SECONDS, *processes)
    assert sorted(len(process.open) for process in processes) == [2, 2, 2]
    assert server.taken == 6


async def test_slots_that_a_process_does_not_use_go_to_the_one_that_asks(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    one, other = (Process(server, clock, max_sessions=10, stream=stream) for _ in range(2))
    await one.want(2)
    await one.settle()
    assert server.taken == 10
    await other.want(6)
    await pass_time(clock, PASS_SECONDS, one, other)
    assert (len(one.open), len(other.open)) == (2, 6)


async def test_a_process_hears_that_another_has_ended(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    one, other = (Process(server, clock, stream=stream) for _ in range(2))
    await one.want(4)
    await one.settle()
    await other.want(4)
    await pass_time(clock, 10.0, one, other)
    for slot in list(one.open):
        one.end(slot)
    one.keeper.close()
    await asyncio.wait_for(one.keeper.run(), 10)
    await pass_time(clock, PASS_SECONDS, other)
    assert len(other.open) == 4


async def test_a_waiting_process_asks_the_server_seldom(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    server.limit, server.taken = 3, 3
    await process.want(3)
    await process.after(60)
    assert server.calls.count("read") <= 13
    assert "acquire" not in server.calls


async def test_a_stream_that_was_lost_has_the_limit_read(
    server: SlotServer, clock: Clock, stream: Stream
) -> None:
    process = Process(server, clock, stream=stream)
    await process.want(4)
    await process.settle()
    server.limit = 1
    process.keeper.hear(None)
    await process.settle()
    assert process.end_recalled() == 3
