"""Connections that have room send for one that would end later."""

from __future__ import annotations

import asyncio
import multiprocessing.process
import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailsluice.campaign import Campaign
from mailsluice.core.moves import Move, MoveReason
from mailsluice.operations.lending.planner import LendingSettings
from mailsluice.operations.send import send_connections
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
    processes,
)
from tests.smtpd import SmtpServer

pytestmark = pytest.mark.takes_turns

_QUICK = LendingSettings(look=0.02, proof=0.1, batch=0.5, worthwhile=0.1)


def document(folder: Path, number: int, percent: int) -> Campaign:
    """Half of the recipients for each connection; each may send for the other one."""
    names = ("slow", "fast")
    return campaign(folder, people(number), names, lend=True, max_shift_percent=percent)


def connections(slow: SmtpServer, fast: SmtpServer, **limits: int) -> list[Connection]:
    """A connection with these limits, and one with a limit of 3,600 a minute."""
    return [
        connection("slow", slow, max_sessions=1, **limits),
        connection("fast", fast, per_minute=3_600, max_sessions=1),
    ]


async def lending(
    database: Database, folder: Path, planned: Campaign, targets: Sequence[Connection]
) -> Report:
    """Run the campaign until nobody can be sent to."""
    run = await asyncio.to_thread(Sender(database, folder).prepare, planned)
    try:
        await asyncio.to_thread(run.count)
        await send_connections(run, planned, targets, lending=_QUICK)
        return await asyncio.to_thread(run.report)
    finally:
        await run.close()


def moves_of(database: Database) -> list[Move]:
    campaigns = Campaigns(database)
    return campaigns.moves(campaigns.get("spring-sale").id)


async def test_the_fast_connection_sends_for_the_slow_one(
    database: Database, tmp_path: Path
) -> None:
    """The slow one sends one a second, and then nothing until the other one has sent for it."""
    with SmtpServer() as slow, SmtpServer() as fast:
        slow.hold(after=5)
        targets = connections(slow, fast, per_minute=60)
        planned = document(tmp_path, 160, 100)
        sending = asyncio.ensure_future(lending(database, tmp_path, planned, targets))
        await eventually_async(lambda: len(fast.received), lambda number: number >= 80 + 60)
        slow.release()
        report = await sending
        everybody_once(Sender(database, tmp_path).ledger, {"slow": slow, "fast": fast})
    moves = moves_of(database)
    assert {move[:3] for move in map(_parts, moves)} == {("slow", "fast", MoveReason.LENT)}
    lent = sum(move.recipients for move in moves)
    assert {route.connection: (route.planned, route.recipients) for route in report.routes} == {
        "slow": (80, 80 - lent),
        "fast": (80, 80 + lent),
    }
    assert lent >= 60


def _parts(move: Move) -> tuple[str, str, MoveReason]:
    return move.origin, move.target, move.reason


def _lend_in_a_process(url: str, folder: Path, targets: Sequence[Connection]) -> None:
    with Database(url) as database:
        asyncio.run(lending(database, folder, document(folder, 160, 50), targets))


async def test_a_killed_run_has_lent_what_is_recorded_and_the_next_one_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    """A connection gives half of its recipients at most, over both runs."""
    with Database(database_url) as database, SmtpServer() as slow, SmtpServer() as fast:
        targets = connections(slow, fast, per_hour=60)

        def start() -> multiprocessing.process.BaseProcess:
            arguments = (database_url, tmp_path, targets)
            process = processes().Process(target=_lend_in_a_process, args=arguments)
            process.start()
            return process

        first = start()
        try:
            await eventually_async(lambda: len(fast.received), lambda number: number >= 85)
            assert first.pid is not None
            os.kill(first.pid, signal.SIGKILL)
            await asyncio.to_thread(first.join)
            before = Counter(moves_of(database))
            assert 0 < sum(move.recipients for move in before) <= 40
            planned, targets = document(tmp_path, 160, 50), connections(slow, fast)
            report = await lending(database, tmp_path, planned, targets)
        finally:
            first.kill()
        lent = moves_of(database)
        assert before <= Counter(lent)
        assert sum(move.recipients for move in lent) <= 40
        assert max((slow.recipients + fast.recipients).values()) == 1, "nobody twice"
        assert report.open == 0
        assert sum(route.recipients for route in report.routes) == 160
