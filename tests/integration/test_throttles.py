"""Limits hold at the server by its own clock, in every trailing window, for all senders."""

from __future__ import annotations

import asyncio
import multiprocessing.process
import os
import signal
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from mailsluice.campaign import Campaign
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import Usage
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from mailsluice.store.schema import usage
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
    processes,
)
from tests.smtpd import Settings, SmtpServer, most_in_a_second

pytestmark = pytest.mark.takes_turns


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


def kept(sender: Sender) -> set[str]:
    """Return the keys under which usage is stored."""
    with sender.database.read() as connection:
        return set(connection.execute(sa.select(usage.c.key)).scalars())


def open_starts(database: Database, key: str) -> int:
    """Return the open starts that are stored under a key."""
    with database.read() as connection:
        query = sa.select(usage.c.state).where(usage.c.key == key)
        state = connection.execute(query).scalar_one()
    return Usage.from_json(orjson.loads(state)).open_starts


def document(folder: Path, number: int, names: Iterable[str], **fields: Any) -> Campaign:
    if percentages := fields.pop("percent", None):
        routes = zip(names, percentages, strict=True)
        fields["strategy"] = "percentage"
        fields["routes"] = [{"connection": name, "percent": share} for name, share in routes]
    return campaign(folder, people(number), tuple(names), **fields)


@pytest.mark.parametrize(
    ("fields", "total", "shares"),
    [
        ({"names": ["red"]}, 60, {"red": 60}),
        ({"names": ["red", "green"], "percent": [70, 30]}, 100, {"red": 70, "green": 30}),
        ({"names": ["red", "green"]}, 81, {"red": 41, "green": 40}),  # round robin
        ({"names": ["red", "green"], "percent": [95, 5]}, 20, {"red": 19, "green": 1}),
    ],
)
async def test_a_campaigns_limit_is_shared_out_and_holds(
    sender: Sender, tmp_path: Path, fields: Any, total: int, shares: dict[str, int]
) -> None:
    planned = document(tmp_path, 2 * total, throttle={"per_second": total}, **fields)
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        used = {name: servers[name] for name in fields["names"]}
        await sender.send(planned, [connection(name, use) for name, use in used.items()])
        everybody_once(sender.ledger, used)
    assert kept(sender) == set()  # nobody needs what a campaign that is over has used
    for name, most in shares.items():
        assert most_in_a_second(servers[name].received) <= most
    assert most_in_a_second(chain.from_iterable(use.received for use in used.values())) <= total


async def test_an_unused_share_is_not_lent_to_other_connections(
    sender: Sender, tmp_path: Path
) -> None:
    planned = document(
        tmp_path, 120, ["red", "green"], percent=[70, 30], throttle={"per_second": 100}
    )
    with SmtpServer() as red, SmtpServer() as green:
        await sender.send(
            planned, [connection("red", red, per_second=40), connection("green", green)]
        )
    assert kept(sender) == {"connection red"}
    assert most_in_a_second(red.received) <= 40
    assert most_in_a_second(green.received) <= 30


async def test_a_session_that_opens_slowly_does_not_lose_its_turn(
    sender: Sender, tmp_path: Path
) -> None:
    """Otherwise the mail would be sent at the next start, half an hour later."""
    planned = document(tmp_path, 1, ["red"])
    with SmtpServer(Settings(delay_seconds=0.4)) as red:  # greeting and EHLO take 0.8
        await sender.send(planned, [connection("red", red, per_hour=2)])
        everybody_once(sender.ledger, {"red": red})


async def test_of_several_limits_the_lowest_binds(sender: Sender, tmp_path: Path) -> None:
    planned = document(tmp_path, 60, ["red"], throttle={"per_second": 50})
    with SmtpServer() as red:
        limited = connection("red", red, per_second=30, per_minute=6_000, per_day=90_000_000)
        await sender.send(planned, [limited])
    assert most_in_a_second(red.received) <= 30


def _send_in_a_process(url: str, folder: Path, name: str, number: int, target: Connection) -> None:
    with Database(url) as database:
        (folder / name).mkdir(exist_ok=True)
        planned = campaign(folder / name, people(number, f"{name}.example"), name=name)
        asyncio.run(Sender(database, folder).send(planned, [target]))


async def test_two_campaigns_in_two_processes_share_the_limit_and_a_kill_does_not_break_it(
    database_url: str, tmp_path: Path
) -> None:
    with Database(database_url), SmtpServer() as red:
        target = connection("red", red, per_second=60, max_sessions=4)

        def start(name: str) -> multiprocessing.process.BaseProcess:
            arguments = (database_url, tmp_path, name, 120, target)
            process = processes().Process(target=_send_in_a_process, args=arguments)
            process.start()
            return process

        first, second = start("first"), start("second")
        try:
            await eventually_async(
                lambda: (
                    len({envelope.recipient.partition("@")[2] for envelope in red.received}) == 2
                )
            )
            assert first.pid is not None
            os.kill(first.pid, signal.SIGKILL)
            await asyncio.to_thread(first.join)
            first = start("first")
            await asyncio.to_thread(first.join)
            await asyncio.to_thread(second.join)
        finally:
            first.kill()
            second.kill()
        assert second.exitcode == 0
        assert most_in_a_second(red.received) <= 60
        assert max(red.recipients.values()) == 1
        uncertain = 240 - len(red.received)
        assert first.exitcode == 0
        assert 0 <= uncertain <= 4
        with Database(database_url) as database:
            # The others have returned theirs. Of the killed one each session may have had a message
            # at the server and the next one, whose envelope goes with the body before it.
            assert open_starts(database, "connection red") <= 4 * 2


async def test_a_used_up_limit_stays_used_up_after_a_restart(
    sender: Sender, tmp_path: Path
) -> None:
    planned = document(tmp_path, 3, ["red"])
    with SmtpServer() as red:
        target = connection("red", red, per_hour=1)
        for owner in ("first run", "second run"):
            run = await asyncio.to_thread(sender.prepare, planned, owner)
            sending = asyncio.ensure_future(sender.send_prepared(run, planned, [target]))
            assert 3_000 < await waits(run, sending) < 4_000
            assert len(red.received) == 1


async def waits(run: Any, sending: asyncio.Future[Any]) -> float:
    """Run until there is nothing to do for a long time; stop, and return for how long."""
    try:
        seconds: float = await eventually_async(run.next_in, lambda seconds: seconds >= 60)
        run.stop()
        await sending
        return seconds
    finally:
        await run.close()


async def test_outside_the_sending_window_nothing_is_sent(sender: Sender, tmp_path: Path) -> None:
    opens = datetime.now(UTC) + timedelta(hours=2)
    window = {"days": "Mon-Sun", "start": f"{opens:%H:%M}", "end": f"{opens:%H:%M}"}
    closes_first = {**window, "end": f"{opens + timedelta(hours=20):%H:%M}"}
    planned = document(tmp_path, 3, ["red"], sending_window=closes_first)
    with SmtpServer() as red:
        run = await asyncio.to_thread(sender.prepare, planned)
        sending = asyncio.ensure_future(
            sender.send_prepared(run, planned, [connection("red", red)])
        )
        assert 7_000 < await waits(run, sending) <= 7_200
        assert red.sessions == 0
    assert sender.ledger.states() == {"pending": 3}


async def test_the_daily_cap_holds_while_sending_whatever_was_planned(
    sender: Sender, tmp_path: Path
) -> None:
    """Late mail of the days before comes on top."""
    planned = document(tmp_path, 12, ["red"])
    warm_up = WarmUp(start=datetime.now(UTC).date() - timedelta(days=1), daily_caps=(1, 7, 9))
    with SmtpServer() as red:
        run = await asyncio.to_thread(sender.prepare, planned)
        limited = connection("red", red, warm_up=warm_up)
        sending = asyncio.ensure_future(sender.send_prepared(run, planned, [limited]))
        assert await waits(run, sending) <= 86_400
        assert len(red.received) == 7
    assert sender.ledger.states() == {"sent": 7, "pending": 5}


async def test_the_daily_cap_of_a_mailbox_provider_holds_while_the_others_go_on(
    sender: Sender, tmp_path: Path
) -> None:
    planned = campaign(tmp_path, [*people(12, "gmail.com"), *people(30)], ["red"])
    start = datetime.now(UTC).date() - timedelta(days=1)
    google = {"provider": "google", "daily_caps": [1, 7, 9]}
    warm_up = WarmUp(start=start, daily_caps=(1, 99, 99), per_provider=[google])
    with SmtpServer() as red:
        run = await asyncio.to_thread(sender.prepare, planned)
        limited = connection("red", red, warm_up=warm_up)
        sending = asyncio.ensure_future(sender.send_prepared(run, planned, [limited]))
        assert await waits(run, sending) <= 86_400
        sent = Counter(address.partition("@")[2] for address in red.recipients.elements())
        assert sent == {"gmail.com": 7, "example.com": 30}
    assert sender.ledger.states() == {"sent": 37, "pending": 5}
