"""The examples of docs/python.md and of the public API's docstrings run as they are pasted."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import yaml

import mailsluice
from blocks import SMTPConnection
from mailsluice.smtp.connection import Connection, Security
from tests.dns_server import CONTROLS, dns_server
from tests.smtpd import SmtpServer

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a working folder and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)


def _examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def test_the_examples_of_the_docstrings_run() -> None:
    rows = (f"user{number}@example.com\n" for number in range(1_000))
    Path("recipients.csv").write_text("email\n" + "".join(rows))
    campaign = {
        "name": "spring-sale",
        "recipients": {"path": "recipients.csv"},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        "routes": [{"connection": "local"}],
    }
    Path("campaign.yaml").write_text(yaml.safe_dump(campaign))
    api = mailsluice
    runner = doctest.DocTestRunner()
    with SmtpServer() as server:
        for documented in (api.read_campaign, api.plan, api, api.send, api.report, api.verify):
            text = (documented.__doc__ or "").replace("1025", str(server.port))
            name = documented.__name__
            examples = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
            assert examples.examples, f"{name} has no example"
            assert runner.run(examples).failed == 0
        assert len(server.recipients) == sum(server.recipients.values()) == 1_000


def test_the_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipients.csv").write_text(
        "email,first_name\nann@example.com,Ann\nbob@example.com,Bob\n"
    )
    blocks = _examples("python.md", "python")
    assert len(blocks) == 2
    names: dict[str, object] = {}
    with SmtpServer() as server:
        for block in blocks:
            exec(block.replace("1025", str(server.port)), names)
        assert set(server.recipients) == {"ann@example.com", "bob@example.com"}
    printed = capsys.readouterr().out
    assert printed.count("2 of 2 sent") == 2
    assert "# Plan: autumn-sale" in printed


def test_the_campaign_of_the_page_about_mailbox_providers_can_be_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (example,) = _examples("mailbox-providers.md", "yaml")
    Path("recipients.csv").write_text(
        "email,first_name,last_click\nann@gmail.com,Ann,2026-01-05\nbob@shop.example,Bob,\n"
        "cat@yahoo.com,Cat,2025-12-24\n"
    )
    zone = {"shop.example": {"MX": ["1 aspmx.l.google.com."]}, **CONTROLS}
    connections = [
        Connection(name, "127.0.0.1", 25, Security.NONE) for name in ("sendgrid", "sparkpost")
    ]
    with dns_server(zone) as server:
        monkeypatch.setenv("MAILSLUICE_NAMESERVERS", f"127.0.0.1:{server.port}")
        plan = mailsluice.plan(yaml.safe_load(example), connections)
    assert {one.provider for one in plan.providers} == {"google", "yahoo"}


def test_the_block_of_the_page_about_mailbox_providers_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (example,) = _examples("mailbox-providers.md", "python")
    saved: list[tuple[SMTPConnection, str]] = []
    monkeypatch.setattr(SMTPConnection, "save", lambda block, name: saved.append((block, name)))
    exec(example, {"SMTPConnection": SMTPConnection})
    ((block, name),) = saved
    assert name == "new"
    assert [entry.provider for entry in block.warm_up.per_provider] == [
        "google",
        "microsoft-consumer",
    ]
