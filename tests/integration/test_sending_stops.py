"""`stop` ends a run soon, whatever its connections wait for, and leaves nothing half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mailsluice.campaign import Campaign, Retry
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.operations import launch
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.link import Link
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import Session
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.smtpd import HANG, Fault, Settings, SmtpServer, Stage

HOUR = 3_600.0
"""A wait that is longer than the test, so a run that does not stop does not end in time."""
LATER = Retry(max_attempts=3, first_delay_seconds=HOUR, max_delay_seconds=HOUR)
SLOW_BREAKER = BreakerSettings(first_delay_seconds=HOUR, max_delay_seconds=HOUR)


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


class Opened:
    """Remembers the sessions that a run has opened."""

    def __init__(self, run: CampaignRun) -> None:
        self.run = run
        self.sessions: list[Session] = []
        self.asked = 0

    async def __call__(self, target: Connection) -> Session:
        self.asked += 1
        session = await open_session(target)
        self.sessions.append(session)
        return session


async def stop_when(
    sender: Sender,
    document: Campaign,
    target: Connection,
    ready: Callable[[Opened], bool],
    settings: SenderSettings,
) -> Report:
    """Send, stop as soon as it is ready; gives the report."""
    run: CampaignRun = await asyncio.to_thread(sender.prepare, document)
    opened = Opened(run)
    try:
        message = launch.compiled(document, run.outbox.columns())
        sending: Awaitable[Any] = asyncio.ensure_future(
            run.send(target, message, settings=settings, open_session=opened)
        )
        await eventually_async(lambda: ready(opened))
        run.stop()
        await sending
        return run.report()
    finally:
        await run.close()


def settings(**fields: Any) -> SenderSettings:
    return SenderSettings(**{"retry": LATER, "stop_seconds": HOUR, **fields})


async def test_stop_while_a_connection_waits_for_its_throttle(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goodbyes: list[Link] = []
    quit_link = Link.quit

    async def quit_and_tell(link: Link) -> None:
        goodbyes.append(link)
        await quit_link(link)

    monkeypatch.setattr(Link, "quit", quit_and_tell)
    document = campaign(tmp_path, people(20), throttle={"per_hour": 2})
    with SmtpServer() as server:
        report = await stop_when(
            sender,
            document,
            connection("red", server),
            lambda _: len(server.received) == 1,
            settings(),
        )
    assert sender.ledger.states() == {"sent": 1, "pending": 19}
    assert report.open == 19
    assert len(goodbyes) == server.sessions


async def test_stop_while_a_connection_waits_after_a_failure(
    sender: Sender, tmp_path: Path
) -> None:
    with SmtpServer() as gone:
        target = connection("red", gone)
    await stop_when(
        sender,
        campaign(tmp_path, people(5)),
        target,
        lambda opened: opened.asked > 0,
        settings(breaker=SLOW_BREAKER),
    )
    assert {row.attempts for row in sender.ledger.rows().values()} == {0}
    assert sender.ledger.states() == {"pending": 5}


async def test_stop_while_a_connection_waits_for_a_deferred_recipient(
    sender: Sender, tmp_path: Path
) -> None:
    with SmtpServer() as server:
        await stop_when(
            sender,
            campaign(tmp_path, ["450-at-rcpt@example.com", *people(3)]),
            connection("red", server),
            lambda _: sender.ledger.states() == {"sent": 3, "deferred": 1},
            settings(),
        )
    row = sender.ledger.rows()["450-at-rcpt@example.com"]
    assert row.next_attempt_at is not None
    assert row.attempts == 1


@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.EHLO])
async def test_stop_while_a_session_is_being_opened(
    stage: Stage, sender: Sender, tmp_path: Path
) -> None:
    with SmtpServer(faults={"*": Fault(stage, HANG)}) as server:
        await stop_when(
            sender,
            campaign(tmp_path, people(5)),
            connection("red", server, timeout_seconds=HOUR),
            lambda opened: opened.asked > 0 and server.sessions > 0,
            settings(),
        )
    assert sender.ledger.states() == {"pending": 5}


def both_on_their_way(opened: Opened) -> bool:
    """And the dot of one is out."""
    connection_sender, known = (
        opened.run._connection_senders.get("red"),
        opened.run._journal.so_far(),
    )
    return bool(
        connection_sender
        and len(connection_sender.queue._in_flight) == 2
        and known
        and known.replies
    )


async def test_stop_while_a_server_does_not_answer_a_message(
    sender: Sender, tmp_path: Path
) -> None:
    """After the bounded wait messages with a sent dot are uncertain, the others are pending."""
    hanging = {"user0": Fault(Stage.DOT, HANG), "user1": Fault(Stage.RCPT, HANG)}
    with SmtpServer(faults=hanging) as server:
        await stop_when(
            sender,
            campaign(tmp_path, people(2)),
            connection("red", server, timeout_seconds=HOUR),
            both_on_their_way,  # over one session or two
            settings(stop_seconds=0.5),
        )
    rows = sender.ledger.rows()
    assert rows["user1@example.com"].status == "pending"
    assert rows["user0@example.com"].status == "uncertain"
    assert len(server.received) == 0


async def test_messages_in_flight_to_a_slow_server_finish(sender: Sender, tmp_path: Path) -> None:
    with SmtpServer(Settings(delay_seconds=0.2)) as server:
        await stop_when(
            sender,
            campaign(tmp_path, people(1_000)),
            connection("red", server),
            lambda _: len(server.received) >= 2,
            settings(),
        )
        states = sender.ledger.states()
        assert states["sent"] == len(server.received) < 1_000
        assert states == {"sent": len(server.received), "pending": 1_000 - len(server.received)}


async def test_a_stopped_campaign_continues_where_it_stopped(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(400))
    with SmtpServer() as server:
        await stop_when(
            sender,
            document,
            connection("red", server),
            lambda _: len(server.received) > 20,
            settings(),
        )
        assert set(sender.ledger.states()) <= {"sent", "pending"}
        await sender.send(document, [connection("red", server)])
        assert set(server.recipients.values()) == {1}
    assert sender.ledger.states() == {"sent": 400}


async def test_a_cancel_leaves_no_recipient_claimed(sender: Sender, tmp_path: Path) -> None:
    """A claim whose commit was not confirmed is unknown to every connection."""
    run = await asyncio.to_thread(sender.prepare, campaign(tmp_path, people(5)))
    with sender.database.write() as transaction:
        assert len(run.outbox.claim(transaction, "red", 2)) == 2
    await asyncio.to_thread(run.cancel)
    report = await asyncio.to_thread(run.report)
    assert sender.ledger.states() == {"cancelled": 5}
    assert report.open == 0
    await run.close()


async def test_a_campaign_whose_cancelled_run_is_killed_is_not_sent_any_more(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(5))
    killed = await asyncio.to_thread(sender.prepare, document)
    with sender.database.write() as transaction:
        killed.outbox.claim(transaction, "red", 2)
    await asyncio.to_thread(killed.forbid)
    await killed.close()
    assert sender.ledger.states() == {"pending": 3, "sending": 2}
    following = await asyncio.to_thread(sender.prepare, document)
    assert following.record.status is CampaignStatus.CANCELLED
    await asyncio.to_thread(following.cancel)
    await following.close()
    assert sender.ledger.states() == {"cancelled": 5}
    assert following.campaigns.get(document.name).status is CampaignStatus.CANCELLED


async def test_a_complete_campaign_cannot_be_cancelled(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(5))
    with SmtpServer() as server:
        run = await asyncio.to_thread(sender.prepare, document)
        await sender.send_prepared(run, document, [connection("red", server)])
        await asyncio.to_thread(run.forbid)
        await asyncio.to_thread(run.cancel)
        await run.close()
    assert run.campaigns.get(document.name).status is CampaignStatus.COMPLETED
