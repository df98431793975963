"""The examples of docs/python.md run as they are pasted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.smtpd import SmtpServer

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)
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
