"""Recipients that move between connections which other processes send over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mailsluice.campaign import Campaign
from mailsluice.core.moves import MoveReason
from mailsluice.operations.lending.planner import LendingSettings
from mailsluice.operations.processes import processes_of
from mailsluice.operations.send import send_in_processes
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
)
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Everybody, Fault, Stage

pytestmark = [
    pytest.mark.xdist_group("processes"),
    pytest.mark.usefixtures("impatience", "forks"),
    pytest.mark.takes_turns,
]
_REFUSAL = Fault(Stage.MAIL, b"550 5.7.1 your account is suspended")
_QUICK = LendingSettings(look=0.02, proof=0.1, batch=5.0, worthwhile=0.1)


def document(folder: Path, number: int, **fields: Any) -> Campaign:
    return campaign(folder, people(number), ("red", "green"), processes=2, **fields)


async def sent(sender: Sender, planned: Campaign, targets: Sequence[Connection]) -> Report:
    """Send in a process for each connection, until nobody can be sent to."""
    run = await asyncio.to_thread(sender.prepare, planned)
    known = {target.name: target for target in targets}
    try:
        await asyncio.to_thread(run.count)
        async with processes_of(run, planned, known, 0) as processes:
            assert processes
            await send_in_processes(run, planned, processes, lending=_QUICK)
        return await asyncio.to_thread(run.report)
    finally:
        await run.close()


async def test_a_process_that_has_finished_takes_over_from_a_connection_that_goes_down(
    database: Database, tmp_path: Path
) -> None:
    """The process of the other connection stays, and is told of the recipients."""
    sender = Sender(database, tmp_path)
    refusing = Settings(everybody=Everybody(21, _REFUSAL))
    with SmtpServer(refusing) as red, SmtpServer() as green:
        red.hold(after=20)
        both = [connection("red", red, max_sessions=1), connection("green", green, max_sessions=1)]
        planned = document(tmp_path, 200, on_connection_down="reassign")
        sending = asyncio.ensure_future(sent(sender, planned, both))
        await eventually_async(lambda: len(green.received), lambda number: number == 100)
        red.release()
        report = await sending
        everybody_once(sender.ledger, {"red": red, "green": green})
    moves = Campaigns(database).moves(1)
    assert {(move.origin, move.target, move.reason) for move in moves} == {
        ("red", "green", MoveReason.DOWN)
    }
    assert sum(move.recipients for move in moves) == 200 - 21 - 100
    assert report.down.keys() == {"red"}


async def test_a_process_that_has_room_sends_for_another_one(
    database: Database, tmp_path: Path
) -> None:
    """The slow one sends nothing more until the other one has sent for it."""
    sender = Sender(database, tmp_path)
    with SmtpServer() as red, SmtpServer() as green:
        red.hold(after=5)
        both = [
            connection("red", red, per_minute=60, max_sessions=1),
            connection("green", green, per_minute=3_600, max_sessions=1),
        ]
        planned = document(tmp_path, 160, lend=True, max_shift_percent=80)
        sending = asyncio.ensure_future(sent(sender, planned, both))
        await eventually_async(lambda: len(green.received), lambda number: number >= 80 + 60)
        red.release()
        report = await sending
        everybody_once(sender.ledger, {"red": red, "green": green})
    lent = sum(move.recipients for move in Campaigns(database).moves(1))
    assert 60 <= lent <= 64
    assert [route.recipients for route in report.routes] == [80 - lent, 80 + lent]
