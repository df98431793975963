"""The examples of docs/python.md and of the public API's docstrings run as they are pasted."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import yaml

import mailsluice
from tests.smtpd import SmtpServer

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a working folder and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)


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
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {}
    with SmtpServer() as server:
        for block in blocks:
            exec(block.replace("1025", str(server.port)), names)
        assert set(server.recipients) == {"ann@example.com", "bob@example.com"}
    printed = capsys.readouterr().out
    assert printed.count("2 of 2 sent") == 2
    assert "# Plan: autumn-sale" in printed
