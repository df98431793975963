"""Replies behind a relay that blame a mailbox provider: only that provider's mail waits."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

import pytest

from mailsluice.campaign import Campaign, Retry
from mailsluice.reports.campaign import Report
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import TOMORROW, Sender, campaign, connection, people
from tests.smtpd import Fault, Settings, SmtpServer, Stage
from tests.smtpd.mailbox_providers import MailboxProvider, relay

REST_SECONDS = 1_500.0
"""Less than the rest that each of these replies asks for, by half an hour's slack of the test."""
SESSIONS = 2
MOST_ASKED = 3 + 2 * SESSIONS - 1
"""The third reply makes a provider rest. Each session may have a message at the server by then, and
the next one in hand; the third reply itself answers one of these."""
RESTS = [
    b"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent (S3150).",
    b"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
    b"451 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
]


class Busy(MailboxProvider):
    """Gives a reply to the first so many recipients that it is asked about, then accepts."""

    def __init__(self, *domains: str, first: float, reply: bytes) -> None:
        super().__init__(*domains)
        self._first = first
        self._deferral = reply

    def _reply(self, recipient: str, now: float) -> bytes | None:
        return self._deferral if len(self.asked) < self._first else None


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


def states(sender: Sender, domain: str) -> Counter[str]:
    rows = sender.ledger.rows()
    return Counter(row.status for email, row in rows.items() if email.endswith(f"@{domain}"))


async def until_it_rests(sender: Sender, document: Campaign, server: SmtpServer) -> Report:
    """Send until a run has nothing to do before the end of a rest."""
    run = await asyncio.to_thread(sender.prepare, document)
    reached = connection("red", server, max_sessions=SESSIONS)
    sending = asyncio.ensure_future(sender.send_prepared(run, document, [reached]))

    async def rests() -> bool:
        return sending.done() or await run.next_in() > REST_SECONDS

    await eventually_async(rests, what="a run in which only a provider's mail is left")
    assert not sending.done()
    run.stop()
    report = await sending
    await run.close()
    return report


@pytest.mark.parametrize("reply", RESTS, ids=["blocked", "closing", "for now"])
async def test_a_provider_that_takes_no_mail_rests_alone(
    reply: bytes, sender: Sender, tmp_path: Path
) -> None:
    """The others have their mail while it rests, and nobody of its own is lost or tried in vain."""
    provider = Busy("outlook.com", first=1_000, reply=reply)
    document = campaign(
        tmp_path,
        [*people(100, "outlook.com"), *people(300, "gmail.com")],
        retry=TOMORROW,
    )
    with relay(provider) as server:
        report = await until_it_rests(sender, document, server)
    assert not report.down
    assert states(sender, "gmail.com") == {"sent": 300}
    assert len(provider.asked) <= MOST_ASKED
    assert states(sender, "outlook.com") == {
        "deferred": len(provider.asked),
        "pending": 100 - len(provider.asked),
    }


async def test_a_provider_that_ends_every_session_does_not_stop_its_own_connection(
    sender: Sender, tmp_path: Path
) -> None:
    """The connection leads to the provider itself, which refuses mail before it knows for whom."""
    closing = Fault(Stage.MAIL, b"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred")
    document = campaign(tmp_path, people(50, "yahoo.com"), retry=TOMORROW)
    with SmtpServer(Settings(faults={"news": closing})) as server:
        report = await until_it_rests(sender, document, server)
    assert not report.down
    rows = sender.ledger.rows().values()
    assert {(row.status, row.code) for row in rows} <= {("pending", None), ("deferred", 421)}
    assert sum(row.status == "deferred" for row in rows) <= MOST_ASKED


async def test_a_provider_that_asks_for_less_mail_gets_it_all_in_the_end(
    sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Busy("gmail.com", first=3, reply=b"421 4.7.28 unusual rate of mail - gsmtp")
    document = campaign(
        tmp_path,
        [*people(20, "gmail.com"), *people(60, "shop.example")],
        retry=Retry(first_delay_seconds=0.1, max_delay_seconds=0.1),
    )
    with relay(provider) as server, caplog.at_level(logging.WARNING):
        await sender.send(document, [connection("red", server, max_sessions=SESSIONS)])
        assert set(server.recipients.values()) == {1}
    assert sender.ledger.states() == {"sent": 80}
    told = {record.getMessage().partition(";")[0] for record in caplog.records}
    assert told == {"connection red: Google asks for less mail"}
