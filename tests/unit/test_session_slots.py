"""The slots of a connection's sessions, against a limit in memory and a clock that waits for us."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.support.session_slots.keeper import (
    LINGER_SECONDS,
    RARE_TURN_SECONDS,
    SPARE_SECONDS,
    TURN_SECONDS,
)
from flows.support.session_slots.leases import RENEW_SECONDS
from flows.support.session_slots.limit_state import LimitState
from flows.support.session_slots.notices import Notices
from flows.support.session_slots.patience import ALONE_SECONDS
from flows.support.session_slots.sharing import PASS_SECONDS, Lease, kept, passed_on, surplus
from tests.unit.slot_server import Clock, Process, SlotServer, Stream, pass_time

LOOK_SECONDS = 3.0
"""How often a process without events looks at the limit, by which others change it."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> SlotServer:
    return SlotServer()


@pytest.fixture
async def process(server: SlotServer, clock: Clock) -> Process:
    return Process(server, clock)


async def test_a_missing_limit_is_created_from_the_block(
    server: SlotServer, process: Process
) -> None:
    await process.want(6)
    await process.settle()
    assert server.limit == 4
    assert (server.taken, len(process.open)) == (4, 4)


async def test_two_processes_together_hold_no_more_than_the_limit(
    server: SlotServer, clock: Clock
) -> None:
    one, other = Process(server, clock), Process(server, clock)
    for process in (one, other):
        await process.want(4)
        await process.settle()
    assert (len(one.open), len(other.open)) == (4, 0)
    one.gate.dismiss()
    for slot in one.open[:2]:
        one.end(slot)
    await pass_time(clock, LINGER_SECONDS + LOOK_SECONDS, one, other)
    assert (len(one.open), len(other.open)) == (2, 2)
    assert server.taken == 4


async def test_the_next_session_takes_the_slot_of_the_last_without_a_call(
    server: SlotServer, process: Process
) -> None:
    await process.want(1)
    await process.settle()
    before = list(server.calls)
    for _ in range(100):
        process.end(process.open[0])
        await process.want(1)
        await process.settle()
    assert len(process.open) == 1
    assert server.calls == before


async def test_an_idle_slot_is_released(server: SlotServer, clock: Clock, process: Process) -> None:
    await process.want(2)
    await process.settle()
    process.end(process.open[0])
    await process.after(LINGER_SECONDS)
    assert server.taken == len(server.leases) == 1
    process.end(process.open[0])
    await process.after(LINGER_SECONDS)
    assert server.taken == 0
    assert await process.settle() is None  # nothing held, nothing to ask for


async def test_a_lowered_limit_ends_sessions_and_a_raised_one_opens_them(
    server: SlotServer, process: Process
) -> None:
    await process.want(4)
    await process.settle()
    server.limit = 1
    await process.after(LOOK_SECONDS)
    assert process.end_recalled() == 3
    await process.want(3)  # the connection sender would like to have them back
    await process.after(LOOK_SECONDS)
    assert (len(process.open), server.taken) == (1, 1)
    server.limit = 3
    await process.after(LOOK_SECONDS)
    assert (len(process.open), server.taken) == (3, 3)


async def test_a_limit_above_the_block_does_not_raise_the_block(
    server: SlotServer, process: Process
) -> None:
    server.limit = 10
    await process.want(10)
    await process.after(LOOK_SECONDS)
    assert (len(process.open), server.taken) == (4, 4)


async def test_a_block_that_is_lowered_and_raised_counts_at_once(
    server: SlotServer, process: Process
) -> None:
    server.limit = 10
    await process.want(6)
    await process.settle()
    process.keeper.resize(2)
    await process.settle()
    assert process.end_recalled() == 2
    await process.settle()
    assert (len(process.open), server.taken) == (2, 2)
    process.keeper.resize(5)
    await process.settle()
    assert len(process.open) == 4  # as many as want one


async def test_two_processes_share_what_a_lowered_limit_takes(
    server: SlotServer, clock: Clock
) -> None:
    server.limit = 6
    one, other = Process(server, clock), Process(server, clock)
    await one.want(4)
    await one.settle()
    await other.want(2)
    await other.settle()
    server.limit = 3
    await pass_time(clock, 10 * LOOK_SECONDS, one, other)
    assert server.taken == len(one.open) + len(other.open) == 3


async def test_a_process_with_all_slots_releases_one_and_takes_it_back_if_no_other_does(
    server: SlotServer, clock: Clock, process: Process
) -> None:
    await process.want(5)
    await process.after(TURN_SECONDS + LOOK_SECONDS)
    assert process.end_recalled() == 1
    await process.after(PASS_SECONDS + 0.1)
    assert (len(process.open), server.taken) == (4, 4)
    other = Process(server, clock)
    await other.want(4)
    await pass_time(clock, TURN_SECONDS + LOOK_SECONDS, process, other)
    assert (len(process.open), len(other.open)) == (3, 1)
    await pass_time(clock, 10 * TURN_SECONDS, process, other)
    assert server.taken == len(process.open) + len(other.open) == 4
    assert process.open
    assert other.open


async def test_a_last_slot_is_not_left_to_others(server: SlotServer, process: Process) -> None:
    server.limit = 1
    await process.want(2)
    await process.after(10 * TURN_SECONDS)
    assert process.end_recalled() == 0


async def test_a_limit_of_no_slots_waits_and_is_reported(
    server: SlotServer, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    server.limit = 0
    await process.want(2)
    await process.after(60)
    assert process.open == []
    assert [one.message for one in caplog.records] == [
        "connection red: sends nothing: limit smtp-red is 0. Raise it under Concurrency"
    ]
    server.limit = 4
    await process.after(LOOK_SECONDS)
    assert len(process.open) == 2


@pytest.mark.parametrize(
    ("limit", "is_active", "said"),
    [
        (4, True, []),
        (9, True, []),
        (2, True, ["at most 2 sessions over all runs: limit smtp-red is lower"]),
        (2, False, ["limit smtp-red is deactivated"]),
    ],
)
async def test_the_binding_limit_is_logged_once_where_it_is_not_the_block(
    server: SlotServer,
    process: Process,
    caplog: pytest.LogCaptureFixture,
    limit: int,
    is_active: bool,
    said: list[str],
) -> None:
    caplog.set_level(logging.INFO)
    server.limit, server.is_active = limit, is_active
    await process.want(4)
    await process.after(60)
    found = [one.message for one in caplog.records]
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


async def test_a_wait_for_other_runs_is_logged_once(
    server: SlotServer, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    server.limit, server.taken = 3, 3
    await process.want(3)
    await process.after(60)
    (line,) = [one.message for one in caplog.records if "waits" in one.message]
    assert "all 3 of limit smtp-red are taken by other runs" in line
    server.take_elsewhere(-3)
    await process.after(LOOK_SECONDS)
    assert len(process.open) == 3


async def test_a_waiting_process_asks_about_once_a_second(
    server: SlotServer, process: Process
) -> None:
    server.limit, server.taken = 3, 3
    await process.want(3)
    await process.after(60)
    assert server.calls.count("read") <= 61
    assert "acquire" not in server.calls


async def test_a_deactivated_limit_leaves_the_block_alone(
    server: SlotServer, process: Process
) -> None:
    await process.want(2)
    await process.settle()
    server.is_active, server.limit = False, 1
    await process.after(LOOK_SECONDS)
    await process.want(4)
    await process.settle()
    assert len(process.open) == 4
    assert process.end_recalled() == 0
    assert (server.taken, server.leases) == (0, {})  # otherwise they would stay taken for ever
    server.is_active, server.limit = True, 3
    await process.after(LOOK_SECONDS)
    process.end_recalled()
    await process.after(LOOK_SECONDS)
    assert (len(process.open), server.taken) == (3, 3)


async def test_leases_are_renewed_in_time(server: SlotServer, process: Process) -> None:
    await process.want(2)
    await process.settle()
    await process.after(10 * RENEW_SECONDS)
    assert 18 <= server.calls.count("renew") <= 20


async def test_a_lost_lease_keeps_its_session_and_is_acquired_again(
    server: SlotServer, process: Process
) -> None:
    await process.want(2)
    await process.settle()
    server.expire()
    await process.after(RENEW_SECONDS + LOOK_SECONDS)
    assert process.end_recalled() == 0
    assert (len(process.open), server.taken) == (2, 2)


async def test_a_deleted_limit_is_created_again_and_counts_the_sessions(
    server: SlotServer, process: Process
) -> None:
    await process.want(2)
    await process.settle()
    server.delete()
    await process.after(2 * LOOK_SECONDS)
    assert (server.limit, server.taken, len(process.open)) == (4, 2, 2)


async def test_a_server_that_is_away_ends_no_session(
    server: SlotServer, clock: Clock, process: Process
) -> None:
    await process.want(2)
    await process.settle()
    server.is_away = True
    server.expire()
    await process.after(600)
    assert process.end_recalled() == 0
    assert len(process.open) == 2
    server.is_away = False
    await process.after(RENEW_SECONDS)
    assert (server.taken, len(process.open)) == (2, 2)


async def test_with_the_server_away_sessions_open_after_a_while_up_to_the_last_known_limit(
    server: SlotServer, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    server.limit = 3
    await process.want(1)
    await process.settle()
    server.is_away = True
    await process.want(5)
    await process.after(ALONE_SECONDS - 1)
    assert len(process.open) == 1
    await process.after(LOOK_SECONDS + 5)
    assert len(process.open) == 3
    assert "the Prefect API does not answer" in caplog.text
    server.is_away = False
    await process.after(2 * LOOK_SECONDS)
    assert (server.taken, len(process.open)) == (3, 3)


async def test_with_the_server_away_from_the_start_the_block_binds(
    server: SlotServer, process: Process
) -> None:
    server.is_away = True
    await process.want(6)
    await process.after(ALONE_SECONDS + 6)
    assert len(process.open) == 4


async def test_a_server_that_was_not_asked_does_not_count_as_back(
    server: SlotServer, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.is_away = True
    await process.want(1)
    await process.after(ALONE_SECONDS + 6)
    process.end(process.open[0])
    await process.after(LINGER_SECONDS + 60)  # nothing to ask for
    await process.want(1)
    await process.after(6)
    assert len(process.open) == 1  # without another ten seconds
    assert "API answers again" not in caplog.text


@pytest.mark.parametrize(("taken", "is_told"), [(0, False), (3, False), (4, True), (5, True)])
def test_the_warning_about_other_runs_appears_only_where_they_hold_all_slots(
    caplog: pytest.LogCaptureFixture, taken: int, is_told: bool
) -> None:
    """A server that is slow to grant a slot has not granted it to others."""
    notices = Notices("red", logging.getLogger("slots"))
    notices.starving(LimitState(SlotServer().id, limit=4, taken=taken))
    assert ("taken by other runs" in caplog.text) == is_told


async def test_leases_of_killed_processes_are_released_before_a_wait(
    server: SlotServer, process: Process
) -> None:
    server.limit = server.taken = 4
    server.of_the_dead = {SlotServer().id for _ in range(4)}
    await process.want(4)
    await process.settle()
    assert len(process.open) == 4


async def test_the_end_releases_everything(server: SlotServer, process: Process) -> None:
    await process.want(6)
    running = asyncio.create_task(process.keeper.run())
    await asyncio.wait(process.waiting, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert server.taken > 0
    process.keeper.close()
    await asyncio.wait_for(running, 10)
    assert (server.taken, server.leases) == (0, {})


# With events


@pytest.fixture
def stream() -> Stream:
    return Stream()


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


@given(
    limit=st.integers(0, 50),
    holders=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_processes_release_about_the_excess(limit: int, holders: list[int], uniform: float) -> None:
    taken = sum(holders)
    given_up = [surplus(limit, taken, held, uniform) for held in holders]
    assert all(0 <= one <= held for one, held in zip(given_up, holders, strict=True))
    assert abs(sum(given_up) - max(0, taken - limit)) <= len(holders)
    if len(holders) == 1:
        assert sum(given_up) == max(0, taken - limit)


@given(held=st.integers(1, 20), others=st.integers(0, 20), limit=st.integers(0, 39))
def test_processes_release_exactly_the_excess_on_average(
    held: int, others: int, limit: int
) -> None:
    taken = held + others
    chances = [(i + 0.5) / 1000 for i in range(1000)]
    average = sum(surplus(limit, taken, held, one) for one in chances) / 1000
    assert math.isclose(average, max(0, taken - limit) * held / taken, abs_tol=0.001)


@given(slots=st.lists(st.integers(1, 20), max_size=5), most=st.integers(0, 40))
def test_leases_that_are_kept_fit_and_the_largest_that_fits_is_among_them(
    slots: list[int], most: int
) -> None:
    staying = kept([Lease(uuid4(), number, 0.0) for number in slots], most)
    assert sum(lease.slots for lease in staying) <= most
    fitting = [number for number in slots if number <= most]
    assert max((lease.slots for lease in staying), default=0) == max(fitting, default=0)


@pytest.mark.parametrize(
    ("held", "used", "other_holds", "other_wants", "passes"),
    [
        (10, 2, 0, 4, 4),  # what it does not use
        (10, 9, 0, 4, 1),
        (10, 9, 4, 4, 0),  # the other has what it wants
        (4, 4, 0, 4, 1),  # one of those that it uses
        (4, 4, 2, 4, 1),
        (4, 4, 3, 4, 0),  # the other would have more then
        (1, 1, 0, 4, 0),  # the last one stays
        (0, 4, 0, 4, 0),
    ],
)
def test_a_process_passes_on_what_it_can_do_without(
    held: int, used: int, other_holds: int, other_wants: int, passes: int
) -> None:
    assert passed_on(held, used, other_holds, other_wants) == passes
