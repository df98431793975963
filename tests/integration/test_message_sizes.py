"""Messages larger than a server takes are refused before anything is sent or stored."""

from __future__ import annotations

from pathlib import Path

import pytest

import mailsluice
from tests.integration.campaign_fixtures import campaign, connection, people
from tests.smtpd import Settings, SmtpServer

KEYWORDS = ("PIPELINING", "SIZE 190000")
TEXT = {"sender": "news@example.com", "subject": "Hi", "text": "Hello {{ email }}"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home folder of its own."""
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)


def attached(folder: Path, octets: int) -> tuple[str, ...]:
    path = folder / "terms.bin"
    path.write_bytes(b"\xff" * octets)
    return (str(path),)


def test_files_that_a_server_does_not_take_are_refused_with_numbers(tmp_path: Path) -> None:
    message = {**TEXT, "attachments": attached(tmp_path, 150_000)}
    document = campaign(tmp_path, people(4), ["red", "blue"], message=message)
    with SmtpServer(Settings(keywords=KEYWORDS)) as red, SmtpServer() as blue:
        connections = [connection("red", red), connection("blue", blue)]
        for run in (mailsluice.plan, mailsluice.send):
            with pytest.raises(mailsluice.MailsluiceError) as caught:
                run(document, connections)
            assert (
                "each message has at least 200 kB because of its files, and the server of red"
                " takes at most 190 kB: put large files on a web server" in str(caught.value)
            )
        assert not red.recipients + blue.recipients
        with pytest.raises(mailsluice.MailsluiceError, match="no campaign"):
            mailsluice.report(document.name)
        fitting = {**TEXT, "attachments": attached(tmp_path, 100_000)}
        document = campaign(tmp_path, people(4), ["red", "blue"], message=fitting)
        assert mailsluice.plan(document, connections).accepted == 4
        assert mailsluice.send(document, connections).summary() == "4 of 4 sent"


def test_a_large_text_is_a_warning_of_the_plan(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(2), message={**TEXT, "text": "Hello " * 40_000})
    with SmtpServer(Settings(keywords=KEYWORDS)) as red:
        planned = mailsluice.plan(document, [connection("red", red)])
    [warning] = [text for text in planned.warnings if "kB" in text]
    assert "the message of the first recipient has 250 kB, and the server of red takes" in warning


def test_a_server_that_does_not_answer_refuses_no_campaign(tmp_path: Path) -> None:
    message = {**TEXT, "attachments": attached(tmp_path, 150_000)}
    document = campaign(tmp_path, people(2), message=message)
    with SmtpServer(Settings(keywords=KEYWORDS)) as red:
        gone = connection("red", red)
    assert mailsluice.plan(document, [gone]).accepted == 2
