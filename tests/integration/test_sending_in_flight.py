"""Campaigns over sessions with several messages in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mailsluice.campaign import Campaign
from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.delivery.journal import JournalContents
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.session import Feed, Session
from mailsluice.store import Database
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.smtpd import Fault, Settings, SmtpServer, Stage

KEYWORDS = ("PIPELINING", "CHUNKING", "SIZE 1000000")
WINDOW = 10


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


async def test_everybody_gets_the_mail_once(sender: Sender, tmp_path: Path) -> None:
    with SmtpServer(Settings(keywords=KEYWORDS, delay_seconds=0.01)) as server:
        red = connection("red", server, messages_in_flight=WINDOW)
        await sender.send(campaign(tmp_path, people(500)), [red])
        everybody_once(sender.ledger, {"red": server})


async def test_refused_and_deferred_recipients_do_not_affect_the_others(
    sender: Sender, tmp_path: Path
) -> None:
    names = ("good", "550-at-rcpt", "good", "450-at-rcpt-once", "451-at-dot-once", "good")
    emails = [f"{names[i % 6]}.{i}@example.com" for i in range(120)]
    with SmtpServer(Settings(keywords=KEYWORDS)) as server:
        red = connection("red", server, messages_in_flight=WINDOW)
        report = await sender.send(campaign(tmp_path, emails), [red])
        assert set(server.recipients.values()) == {1}
        assert len(server.received) == 100
    assert report.down == {}
    assert sender.ledger.states() == {"sent": 100, "failed": 20}


async def test_a_link_that_breaks_leaves_no_more_than_the_window_in_doubt(
    sender: Sender, tmp_path: Path
) -> None:
    emails = [*people(50), "drop-at-rcpt-once@example.com", *people(50, "later.example.com")]
    with SmtpServer(Settings(keywords=KEYWORDS)) as server:
        red = connection("red", server, messages_in_flight=WINDOW, max_sessions=1)
        await sender.send(campaign(tmp_path, emails), [red])
        copies = server.recipients
    rows = sender.ledger.rows()
    states = Counter(row.status for row in rows.values())
    assert states.keys() <= {"sent", "uncertain"}
    assert 1 <= states["uncertain"] <= WINDOW
    assert all(copies[email] == 1 for email, row in rows.items() if row.status == "sent")
    assert max(copies.values()) == 1


async def test_a_server_that_ends_sessions_after_some_messages_loses_nobody(
    sender: Sender, tmp_path: Path
) -> None:
    settings = Settings(keywords=KEYWORDS, messages_per_session=7)
    with SmtpServer(settings) as server:
        red = connection("red", server, messages_in_flight=WINDOW)
        report = await sender.send(campaign(tmp_path, people(100)), [red])
        everybody_once(sender.ledger, {"red": server})
    assert report.down == {}
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


async def test_a_deferred_sender_address_uses_no_attempt(sender: Sender, tmp_path: Path) -> None:
    busy = Fault(Stage.MAIL, b"450 4.7.1 Error: too much mail", times=2)
    with SmtpServer(Settings(keywords=KEYWORDS, faults={"news": busy})) as server:
        red = connection("red", server, messages_in_flight=WINDOW)
        report = await sender.send(campaign(tmp_path, people(40)), [red])
        everybody_once(sender.ledger, {"red": server})
    assert report.down == {}
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


class PutOff:
    """A session whose first window is refused, one message after the other, and no later one."""

    def __init__(self, seconds: float) -> None:
        self.refused: list[int] = []
        self._seconds = seconds
        self.then: Callable[[], None] = lambda: None

    async def send(self, feed: Feed) -> None:
        while (envelope := await feed.next()) is not None:
            taken = [envelope]
            while len(taken) < WINDOW and (envelope := feed.next_nowait()):
                taken.append(envelope)
            for one in taken:
                feed.dot(one)
            if self.refused:
                for one in taken:
                    feed.settled(one, Attempt(Phase.BODY, 250, "2.0.0 Ok"))
            else:
                await self._refuse(feed, taken)

    async def _refuse(self, feed: Feed, taken: list[Envelope]) -> None:
        for one in taken:
            await asyncio.sleep(self._seconds)
            self.refused.append(one.recipient_id)
            feed.settled(one, Attempt(Phase.MAIL, 450, "4.7.1 Error: too much mail"))
        self.then()

    def abort(self) -> None:
        raise AssertionError


async def test_a_whole_window_that_is_deferred_slowly_counts_as_one_failure(
    sender: Sender, tmp_path: Path
) -> None:
    session = PutOff(seconds=0.06)  # longer than any delay of the breaker
    breaker = BreakerSettings(
        failures=2, first_delay_seconds=0.01, max_delay_seconds=0.05, rest_seconds=0.05, probes=1
    )
    sender.settings = SenderSettings(breaker=breaker)
    report = await sent_by(session, sender, campaign(tmp_path, people(30)))
    assert len(session.refused) > 3  # more than the breaker bears
    assert report.down == {}
    assert sender.ledger.states() == {"sent": 30}
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


async def test_a_refusal_removes_the_dot_from_the_journal(sender: Sender, tmp_path: Path) -> None:
    """After a kill, a recipient that only waits for another turn is not in doubt."""
    session = PutOff(seconds=0)
    known: list[JournalContents | None] = []
    document = campaign(tmp_path, people(5))
    await sent_by(
        session,
        sender,
        document,
        prepared=lambda run: setattr(session, "then", lambda: known.append(run._journal.so_far())),
    )
    (evidence,) = known
    assert evidence is not None
    assert session.refused
    assert evidence.replies == {}


async def sent_by(
    session: PutOff,
    sender: Sender,
    document: Campaign,
    prepared: Callable[[CampaignRun], None] = lambda _: None,
) -> Report:
    """Send the campaign over this session."""

    async def opened(_: Connection) -> Session:
        return session

    red = Connection("red", "127.0.0.1", 1, Security.NONE, max_sessions=1)
    run = await asyncio.to_thread(sender.prepare, document)
    prepared(run)
    try:
        return await sender.send_prepared(run, document, [red], open_session=opened)
    finally:
        await run.close()
