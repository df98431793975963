"""The slots of a connection's sessions, against a limit in memory and a clock that waits for us."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flows.support.session_slots.keeper import (
    LINGER_SECONDS,
    TURN_SECONDS,
)
from flows.support.session_slots.leases import RENEW_SECONDS
from flows.support.session_slots.limit_state import LimitState
from flows.support.session_slots.notices import Notices
from flows.support.session_slots.patience import ALONE_SECONDS
from flows.support.session_slots.sharing import PASS_SECONDS
from tests.unit.slot_server import Clock, Process, SlotServer, pass_time
from tests.unit.slot_server import clock as clock
from tests.unit.slot_server import process as process
from tests.unit.slot_server import server as server

LOOK_SECONDS = 3.0
"""How often a process without events looks at the limit, by which others change it."""


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
    for each in (one, other):
        await each.want(4)
        await each.settle()
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
