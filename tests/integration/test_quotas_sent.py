"""A monthly quota at recording servers: what it holds, what waits for it, and who sends instead."""

from __future__ import annotations

import asyncio
import math
import multiprocessing.process
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from mailsluice.delivery import CampaignRun
from mailsluice.operations.quotas import limit_uses
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
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

FAR_DAY = 1 if 8 <= datetime.now(UTC).day <= 20 else 15
"""A billing day that is at least a week away."""

HELD = "held by red's quota of 50 a month"
ENDS = {HELD, "done"}


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


async def _said(run: CampaignRun) -> str:
    (standing,) = (await run.progress()).standings
    return standing.binding.sentence(datetime.now(UTC)).partition(" until ")[0]


async def test_two_campaigns_share_a_months_quota_and_wait_for_the_next(
    sender: Sender, tmp_path: Path
) -> None:
    documents = [campaign(tmp_path, people(40), name=name) for name in ("spring", "summer")]
    with SmtpServer() as red:
        relay = connection("red", red, per_month=50, month_begins_on=FAR_DAY)
        runs = [await asyncio.to_thread(sender.prepare, one) for one in documents]
        for run in runs:
            await asyncio.to_thread(run.count)
        sending = [
            asyncio.ensure_future(sender.send_prepared(run, document, [relay]))
            for run, document in zip(runs, documents, strict=True)
        ]
        await eventually_async(lambda: sum(red.recipients.values()) == 50)
        held = [
            run
            for run in runs  # one campaign may have had room for all its recipients
            if await eventually_async(partial(_said, run), ENDS.__contains__) == HELD
        ]
        assert held
        for run in held:
            await eventually_async(run.next_in, lambda seconds: 86_400 < seconds < math.inf)
        for run in runs:
            run.stop()
        await asyncio.gather(*sending)
        for run in runs:
            await run.close()
    assert sum(red.recipients.values()) == 50
    (use,) = limit_uses(sender.database, relay)
    assert (use.used, use.allowed) == (50, 50)


def _send_in_a_process(url: str, folder: Path, name: str, relay: Connection) -> None:
    with Database(url) as database:
        (folder / name).mkdir(exist_ok=True)
        document = campaign(folder / name, people(100, f"{name}.example"), name=name)
        asyncio.run(Sender(database, folder).send(document, [relay]))


async def test_a_killed_process_neither_breaks_a_quota_nor_loses_a_part_of_it(
    database_url: str, tmp_path: Path
) -> None:
    with Database(database_url) as database, SmtpServer() as red:
        relay = connection(
            "red", red, per_second=80, per_month=120, month_begins_on=FAR_DAY, max_sessions=3
        )

        def start(name: str) -> multiprocessing.process.BaseProcess:
            arguments = (database_url, tmp_path, name, relay)
            process = processes().Process(target=_send_in_a_process, args=arguments)
            process.start()
            return process

        running = [start("first"), start("second")]
        try:
            await eventually_async(
                lambda: len({address.partition("@")[2] for address in red.recipients}) == 2
            )
            running[0].kill()
            await asyncio.to_thread(running[0].join)
            running[0] = start("first")
            # Of the killed one, a message in each session may count and not have arrived.
            await eventually_async(lambda: len(red.received) >= 120 - 3)
            _, use = limit_uses(database, relay)
        finally:
            for process in running:
                process.kill()
                process.join()
        assert use.used <= 120
        assert len(red.received) <= 120
        assert max(red.recipients.values()) == 1


async def test_with_throughput_others_send_what_a_quota_has_no_room_for(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(80), ("red", "green"), strategy="throughput")
    with SmtpServer() as red, SmtpServer() as green:
        relay = connection("red", red, per_month=10, month_begins_on=FAR_DAY)
        await sender.send(document, [relay, connection("green", green, per_second=60)])
        everybody_once(sender.ledger, {"red": red, "green": green})
    assert Counter(red.recipients.values()) == {1: 10}
