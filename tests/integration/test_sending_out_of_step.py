"""A campaign over a server that sends replies without a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailsluice.store import Database
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.smtp_fixtures import KINDS
from tests.smtpd import Fault, Settings, SmtpServer, Stage

STRAYS = {
    "a stray 550 behind the reply to a message": Fault(Stage.AFTER, b"550 5.1.1 no such user", 1),
    "a 250 too many before a refusal": Fault(Stage.DOT, b"250 2.0.0 ok\r\n554 5.6.0 not this", 1),
    "one 250 too many": Fault(Stage.AFTER, b"250 2.0.0 ok", 1),
}
ODD = "odd@example.com"


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("stray", list(STRAYS))
async def test_an_extra_reply_makes_no_recipient_sent_or_failed(
    kind: str, stray: str, sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emails = [*people(9), ODD, *people(9, "later.example.com")]
    settings = Settings(keywords=KINDS[kind], faults={"odd": STRAYS[stray]})
    with SmtpServer(settings) as server:
        red = connection("red", server, messages_in_flight=5, max_sessions=1)
        report = await sender.send(campaign(tmp_path, emails), [red])
        copies = server.recipients
    assert report.down == {}
    assert max(copies.values()) == 1
    for email, row in sender.ledger.rows().items():
        if row.status == "sent":
            assert copies[email] == 1
        else:
            assert row.status == "uncertain"
    doubtful = [email for email, row in sender.ledger.rows().items() if row.status != "sent"]
    assert len(doubtful) <= 5
    assert "a session with 127.0.0.1 was ended" in caplog.text
    assert "@" not in caplog.text
