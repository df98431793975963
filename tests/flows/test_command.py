"""The command `mailsluice` with connections that are blocks of a real Prefect server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL

import mailsluice
from deployments.command import main
from mailsluice.core.status import RecipientStatus
from tests.eventually import eventually
from tests.flows.conftest import Servers, save_block
from tests.forked import Forked

DOMAINS = ("example.com", "gmail.com")


def write_campaign(folder: Path, rows: int, **fields: object) -> Path:
    """A campaign file over red and blue, half each."""
    (folder / "people.csv").write_text(
        "email\n" + "".join(f"p{i}@{DOMAINS[i % 2]}\n" for i in range(rows))
    )
    path = folder / "campaign.yaml"
    document = {
        "name": "by-command",
        "recipients": {"path": str(folder / "people.csv")},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello {{ email }}"},
        "strategy": "percentage",
        "routes": [{"connection": "red", "percent": 50}, {"connection": "blue", "percent": 50}],
        **fields,
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_campaign_is_planned_sent_and_looked_at(
    tmp_path: Path, servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_campaign(tmp_path, 10)
    assert main(["plan", str(path), "--preview"]) == 0
    planned = capsys.readouterr().out
    assert "10 of 10 rows would be sent to" in planned
    shown = re.search(r"would get it is in `(.+)`: open it", planned)
    assert shown
    assert "Hello" in Path(shown[1]).read_text()
    assert main(["send", str(path)]) == 0
    assert "by-command: 10 of 10 sent" in capsys.readouterr().out
    assert {name: len(one.recipients) for name, one in servers.items()} == {
        "red": 5,
        "green": 0,
        "blue": 5,
    }
    assert main(["send", str(path)]) == 0
    assert "Nothing was sent" in capsys.readouterr().out
    assert main(["verify", "by-command", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"conserved": True, "findings": []}
    assert main(["status", "by-command", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert (stored["accepted"], stored["open"], stored["summary"]) == (10, 0, "10 of 10 sent")
    assert main(["resolve", "by-command", "nobody@example.com", "--action", "sent"]) == 0
    assert "1 of the addresses belong to no uncertain recipient" in capsys.readouterr().out
    assert main(["report", "by-command"]) == 0
    assert capsys.readouterr().out.startswith("# ")
    assert main(["status", "by-command", "--by", "provider", "--json"]) == 0
    tallies = json.loads(capsys.readouterr().out)
    accepted = {name: tally["accepted"] for name, tally in tallies.items()}
    assert accepted == {"google": 5, "unresolved": 5}
    assert main(["status", "by-command", "--by", "provider"]) == 0
    by_provider = capsys.readouterr().out
    assert "by-command by mailbox provider" in by_provider
    assert re.search(r"provider +recipients +attempted +accepted *\n", by_provider)
    assert main(["export", "by-command", str(tmp_path / "out.csv")]) == 0
    rest = ["--status", "failed", "--status", "deferred"]
    assert main(["export", "by-command", str(tmp_path / "rest.csv"), *rest]) == 0
    assert "0 recipients in" in capsys.readouterr().out
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 11
    assert main(["find", "by-command", "no-such-id"]) == 3
    assert "no recipient of by-command has this id\n" in capsys.readouterr().out


def test_recipients_that_wait_are_an_exit_code_and_are_watched(
    tmp_path: Path,
    servers: Servers,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_block("blue", servers["blue"], port=1)
    path = write_campaign(tmp_path, 4)
    assert main(["send", str(path)]) == 3
    assert "blue is down" in capsys.readouterr().out
    watched: list[float] = []

    def cancel_meanwhile(seconds: float) -> None:
        watched.append(seconds)
        assert main(["cancel", "by-command"]) == 0

    monkeypatch.setattr("deployments.command.status.time.sleep", cancel_meanwhile)
    assert main(["status", "by-command", "--watch"]) == 0
    assert watched == [2.0]
    told = capsys.readouterr().out
    assert "2 of 4 sent, 2 cancelled" in told
    assert "2 of 4 had been sent, 2 are cancelled" in told


def test_sigterm_lets_messages_in_flight_finish(tmp_path: Path, servers: Servers) -> None:
    path = write_campaign(tmp_path, 400, throttle={"per_second": 20})
    sending = Forked(
        [sys.executable, "-m", "deployments.command", "send", str(path)],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdout=subprocess.PIPE,
    )
    eventually(lambda: len(servers["red"].received))
    sending.terminate()
    told, _ = sending.communicate()
    assert sending.returncode == 130
    assert "the same command continues" in told
    report = mailsluice.report("by-command")
    received = sum(len(server.received) for server in servers.values())
    assert report.of(RecipientStatus.SENT) == received < 400
    assert not report.of(RecipientStatus.UNCERTAIN, RecipientStatus.SENDING)


def test_a_connection_is_checked(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connection", "test", "red"]) == 0
    assert "works" in capsys.readouterr().out
    mail = ["--sender", "news@example.com", "--recipient", "me@example.com", "--json"]
    assert main(["connection", "test", "red", *mail]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["works"]
    assert checked["findings"][-1]["step"] == "test mail"
    assert list(servers["red"].recipients) == ["me@example.com"]
    assert main(["connection", "limits", "red"]) == 0
    assert "red has no limits" in capsys.readouterr().out
    assert main(["connection", "test", "nobody"]) == 1
    assert "there is no SMTP Connection block 'nobody'" in capsys.readouterr().err
