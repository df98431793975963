"""A server that ends idle sessions, and a pace at which sessions are idle."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailsluice.store import Database
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.smtpd import Settings, SmtpServer

MAILS = 9
SESSIONS = 4
IDLE_SECONDS = 0.9
ENDINGS = {
    "421": b"421 4.4.2 mail.example Error: timeout exceeded",
    "451": b"451 4.4.2 Timeout waiting for client input",
    "silent": b"",
}


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


@pytest.mark.parametrize("ending", list(ENDINGS))
async def test_idle_sessions_that_the_server_ends_cost_no_recipient_an_attempt(
    ending: str, sender: Sender, tmp_path: Path
) -> None:
    """In turns, each of four sessions would be idle for longer than the server tolerates."""
    settings = Settings(idle_seconds=IDLE_SECONDS, idle_reply=ENDINGS[ending])
    with SmtpServer(settings) as server:
        red = connection("red", server, max_sessions=SESSIONS)
        document = campaign(tmp_path, people(MAILS), throttle={"per_second": 3})
        report = await sender.send(document, [red])
        everybody_once(sender.ledger, {"red": server})
        assert server.sessions <= MAILS
    assert report.down == {}
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}
