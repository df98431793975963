"""A campaign whose sending window is in each recipient's own time zone, at a real server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignDiffersError
from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.reports.campaign import page
from mailsluice.reports.campaign.queries import statistics
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, people, processes
from tests.integration.sender_runs import send, shard
from tests.integration.test_failover import REFUSAL, sent
from tests.smtpd import Everybody, Settings, SmtpServer

pytestmark = pytest.mark.takes_turns

MORNING = {"days": "Mon-Sun", "start": "09:00", "end": "12:00", "zone_column": "zone"}
LONDON, TOKYO, UNKNOWN = "UTC", "UTC+09:00", "soon"
FEW = 12
"""More messages than are on their way over one session at a time."""


class Wall:
    """A clock on the wall that the test sets."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall("2026-11-23T02:00")  # 11:00 in Tokyo
    monkeypatch.setattr(
        "mailsluice.delivery.run.RecipientHours", partial(RecipientHours, wall=wall)
    )
    return wall


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


def document(folder: Path, numbers: dict[str, int], **fields: Any) -> Campaign:
    """A campaign to so many people in each time zone; the zone is their domain."""
    path = folder / "zones.csv"
    rows = [
        f"{email},{zone}"
        for zone, number in numbers.items()
        for email in people(number, _domain(zone))
    ]
    path.write_text("\n".join(["email,zone", *rows]))
    defaults = {"recipients": {"path": str(path)}, "sending_window": MORNING}
    return campaign(folder, [], **{**defaults, **fields})


def _domain(zone: str) -> str:
    return f"{zone.lower().replace('+', '-').replace(':', '')}.example"


def received(server: SmtpServer) -> Counter[str]:
    """Messages that the server has got, by the domain of their recipients."""
    return Counter(envelope.recipient.partition("@")[2] for envelope in server.received)


async def test_a_zone_that_closes_gets_no_more_mail_and_one_that_opens_gets_its_own(
    sender: Sender, tmp_path: Path, wall: Wall
) -> None:
    planned = document(tmp_path, {TOKYO: 300, LONDON: 20, UNKNOWN: 3})
    with SmtpServer() as red:
        red.hold(after=10)
        run = await asyncio.to_thread(sender.prepare, planned)
        await asyncio.to_thread(run.count)
        target = connection("red", red, max_sessions=1)
        sending = asyncio.ensure_future(sender.send_prepared(run, planned, [target]))
        try:
            await eventually_async(lambda: red.held)
            wall.set("2026-11-23T09:00")  # 18:00 in Tokyo
            red.release()
            await eventually_async(run.next_in, lambda seconds: seconds >= 60)
            (standing,) = (await run.progress()).standings
            assert 10 <= received(red)[_domain(TOKYO)] <= 10 + FEW
            left = 300 - received(red)[_domain(TOKYO)]
            assert str(standing.binding.cause.name) == "ZONE"
            assert standing.binding.detail == f"09:00 in {TOKYO} ({left} recipients)"
            assert await run.next_in() == pytest.approx(15 * 3_600, abs=240)
            assert received(red)[_domain(LONDON)] == 20
            assert received(red)[_domain(UNKNOWN)] == 3  # the window's own zone is UTC
            last = [envelope.recipient.partition("@")[2] for envelope in red.received][-23:]
            assert _domain(TOKYO) not in last
            run.stop()
            await sending
        finally:
            await run.close()
        wall.set("2026-11-24T00:00")  # 09:00 in Tokyo
        report = await sender.send(planned, [target])
        assert report.open == 0
        assert set(red.recipients.values()) == {1}
        assert len(red.received) == 323
        counted = statistics(sender.database, run.id)
        assert [(zone.zone, zone.sent, zone.left) for zone in counted.zones] == [
            (TOKYO, 300, {}),
            (LONDON, 20, {}),
            ("", 3, {}),
        ]
        text = page(replace(report, statistics=counted))
        assert "## Time zones" in text
        assert "| UTC+09:00 | 300 | 300 | 0 |" in text
        assert "| not known | 3 | 3 | 0 |" in text


async def test_recipients_of_a_connection_that_is_down_keep_their_hours(
    sender: Sender, tmp_path: Path, wall: Wall
) -> None:
    """The connection that takes them over was waiting for the window of another zone."""
    planned = document(
        tmp_path,
        {TOKYO: 200, LONDON: 40},
        strategy="round_robin",
        routes=[{"connection": "red"}, {"connection": "green"}],
        on_connection_down="reassign",
    )
    with SmtpServer(Settings(everybody=Everybody(11, REFUSAL))) as red, SmtpServer() as green:
        red.hold(after=10)
        targets = [connection("red", red, max_sessions=1), connection("green", green)]
        run = await asyncio.to_thread(sender.prepare, planned)
        await asyncio.to_thread(run.count)
        sending = asyncio.ensure_future(sent(run, planned, targets))
        try:
            await eventually_async(lambda: received(green).total() == 100)
            red.release()
            await eventually_async(lambda: received(green).total() + received(red).total() == 200)
            await eventually_async(run.next_in, lambda seconds: seconds >= 60)
            run.stop()
            await sending
        finally:
            await run.close()
        assert {*received(red), *received(green)} == {_domain(TOKYO)}
        assert received(green).total() > 150
    assert sender.ledger.states() == {"sent": 200, "pending": 40}


async def test_another_column_of_time_zones_is_another_campaign(
    sender: Sender, tmp_path: Path, wall: Wall
) -> None:
    planned = document(tmp_path, {TOKYO: 2})
    with SmtpServer() as red:
        await sender.send(planned, [connection("red", red)])
        for fields in ({"zone_column": None}, {"country_column": "land"}):
            changed = planned.sending_window.model_copy(update=fields)
            with pytest.raises(CampaignDiffersError, match="sending_window"):
                await sender.send(
                    planned.model_copy(update={"sending_window": changed}),
                    [connection("red", red)],
                )


def _send_in_a_process(url: str, folder: Path, planned: Campaign, target: Connection) -> None:
    with Database(url) as database:
        asyncio.run(Sender(database, folder).send(planned, [target]))


async def test_a_run_that_is_killed_continues_in_the_zones_that_are_open(
    database_url: str, tmp_path: Path
) -> None:
    """By the real clock: the window is open here, and not on the other side of the world."""
    now = datetime.now(UTC)
    around = {name: f"{now + timedelta(hours=hours):%H:%M}" for name, hours in _AROUND.items()}
    planned = document(
        tmp_path,
        {LONDON: 100, "UTC+12:00": 50},
        sending_window={**MORNING, **around},
    )
    with SmtpServer() as red, Database(database_url) as database:
        red.hold(after=30)
        target = connection("red", red, max_sessions=1)
        arguments = (database_url, tmp_path, planned, target)
        process = processes().Process(target=_send_in_a_process, args=arguments)
        process.start()
        try:
            await eventually_async(lambda: red.held)
            os.kill(process.pid or 0, signal.SIGKILL)
        finally:
            process.kill()
            await asyncio.to_thread(process.join)
        red.release()
        sender = Sender(database, tmp_path)
        run = await asyncio.to_thread(sender.prepare, planned)
        sending = asyncio.ensure_future(sender.send_prepared(run, planned, [target]))
        try:
            await eventually_async(run.next_in, lambda seconds: seconds >= 60)
            run.stop()
            await sending
        finally:
            await run.close()
        assert set(received(red)) == {_domain(LONDON)}
        assert set(red.recipients.values()) == {1}
        states = sender.ledger.states()
        assert states["pending"] == 50
        assert states["sent"] + states["uncertain"] == 100
        assert states["uncertain"] <= FEW


_AROUND = {"start": -6, "end": 5}


async def test_senders_that_share_a_connection_wait_for_the_same_zones(
    sender: Sender, tmp_path: Path, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one of them has put back at the closing is sent by any of them the next morning."""
    monkeypatch.setattr("mailsluice.delivery.group_commit._PEER_SECONDS", 0.02)
    planned = document(tmp_path, {TOKYO: 300, LONDON: 20})
    with SmtpServer() as red:
        red.hold(after=10)
        target = connection("red", red, max_sessions=1)
        run = await asyncio.to_thread(sender.prepare, planned)
        async with shard(sender, planned) as first, shard(sender, planned) as second:
            both = [asyncio.ensure_future(send(one, planned, target)) for one in (first, second)]
            await eventually_async(lambda: red.held == 2)
            wall.set("2026-11-23T09:00")
            red.release()
            for one in (first, second):
                await eventually_async(one.next_in, lambda seconds: seconds >= 60)
            assert received(red)[_domain(LONDON)] == 20
            assert received(red)[_domain(TOKYO)] <= 10 + 2 * FEW
            first.stop()
            second.stop()
            await asyncio.gather(*both)
        wall.set("2026-11-24T00:00")
        async with shard(sender, planned) as first, shard(sender, planned) as second:
            await asyncio.gather(*(send(one, planned, target) for one in (first, second)))
        report = await asyncio.to_thread(run.report)
        await run.close()
        assert report.open == 0
        assert set(red.recipients.values()) == {1}
