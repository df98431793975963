"""Session slots against a real Prefect server, with campaigns in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import SMTPConnection
from deployments.server import free_port, prefect_server
from tests.serving import until
from tests.smtpd import SmtpServer

RUN = """
import asyncio, json, sys
from flows.send_campaign import send_campaign
state = asyncio.run(send_campaign(json.loads(sys.argv[1]), return_state=True))
print(state.type.value, state.message)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@dataclass
class Prefect:
    """A Prefect server whose leases are files."""

    url: str
    home: Path

    def block(self, smtp: SmtpServer, **fields: Any) -> None:
        """Save the connection red; no limit of that name is left."""
        with temporary_settings({PREFECT_API_URL: self.url}):
            block = SMTPConnection(host=smtp.host, port=smtp.port, security="none", **fields)
            block.save("red", overwrite=True, _sync=True)  # type: ignore[call-arg]
        httpx.delete(f"{self.url}/v2/concurrency_limits/smtp-red")

    def set(self, **fields: Any) -> None:
        """What an operator changes in the UI."""
        reply = httpx.patch(f"{self.url}/v2/concurrency_limits/smtp-red", json=fields)
        reply.raise_for_status()

    def taken(self) -> int:
        reply = httpx.get(f"{self.url}/v2/concurrency_limits/smtp-red").raise_for_status()
        return int(reply.json()["active_slots"])

    def expire_leases(self) -> None:
        """As if their time had passed: two minutes are too long for a test."""
        long_ago = "2020-01-01T00:00:00+00:00"
        folder = self.home / "concurrency_leases"
        index = folder / "expirations.json"
        expirations = json.loads(index.read_text())
        for lease in expirations:
            path = folder / f"{lease}.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"expiration": long_ago}))
        index.write_text(json.dumps(dict.fromkeys(expirations, long_ago)))


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    home = tmp_path_factory.mktemp("prefect")
    url = f"http://127.0.0.1:{free_port()}/api"
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
    }
    with prefect_server(url, environment):
        yield Prefect(url, home)


@pytest.fixture
def start(prefect: Prefect, tmp_path: Path) -> Iterator[Start]:
    """Run a campaign over red in a process of its own; `machine` is where it keeps its state."""
    csv = tmp_path / "recipients.csv"
    with ExitStack() as stack:

        def start(name: str, number: int, machine: str = "one", **fields: Any) -> Any:
            csv.write_text("email\n" + "".join(f"user{i}@example.com\n" for i in range(number)))
            campaign = {
                "name": name,
                "recipients": {"path": str(csv)},
                "message": {"sender": "news@example.com", "subject": name, "text": "Hello"},
                "routes": [{"connection": "red"}],
                **fields,
            }
            environment = {
                "PREFECT_API_URL": prefect.url,
                "PREFECT_HOME": str(tmp_path / machine),
                "MAILSLUICE_HOME": str(tmp_path / machine),
            }
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, json.dumps(campaign)],
                env=os.environ | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The run's state with its message, and its log."""
    output, _ = process.communicate(timeout=120)
    return output.splitlines()[-1], output


def test_two_campaigns_at_once_open_no_more_sessions_than_one_may(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        prefect.block(smtp, max_sessions=2)
        throttle = {"per_second": 100}
        one = start("one", 300, throttle=throttle)
        other = start("other", 300, machine="two", throttle=throttle)
        assert end_of(one)[0] == end_of(other)[0] == "COMPLETED 300 of 300 sent"
        assert smtp.most_open == 2
        assert set(smtp.recipients.values()) == {2}
    assert prefect.taken() == 0


def test_a_limit_is_lowered_and_raised_while_a_campaign_runs(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        prefect.block(smtp, max_sessions=4)
        process = start("long", 10_000, throttle={"per_second": 60})
        until(lambda: smtp.open, lambda seen: seen == 4)
        for limit in (1, 3, 0, 2):
            prefect.set(limit=limit)
            until(lambda: smtp.open, lambda seen, limit=limit: seen == limit)
        prefect.set(active=False)
        until(lambda: smtp.open, lambda seen: seen == 4)
        prefect.set(active=True)
        until(lambda: smtp.open, lambda seen: seen == 2)
        until(prefect.taken, lambda taken: taken == 2)
        process.send_signal(signal.SIGTERM)
        state, log = end_of(process)
        assert state.startswith("CRASHED stopped by SIGTERM")
        assert smtp.most_open == 4
        assert set(smtp.recipients.values()) == {1}
    assert prefect.taken() == 0
    assert "limit smtp-red is lower than the block's max_sessions (4)" in log
    assert "sends nothing: limit smtp-red is 0" in log
    assert "limit smtp-red is deactivated" in log


def test_slots_of_a_killed_process_come_back(prefect: Prefect, start: Start) -> None:
    with SmtpServer() as smtp:
        prefect.block(smtp, max_sessions=2)
        killed = start("killed", 10_000, throttle={"per_second": 60})
        until(lambda: smtp.open, lambda seen: seen == 2)
        until(prefect.taken, lambda taken: taken == 2)
        killed.kill()
        killed.wait()
        elsewhere = start("elsewhere", 50, machine="two")
        until(elsewhere.stdout.readline, lambda line: "waits for a session" in line)
        assert prefect.taken() == 2
        prefect.expire_leases()
        assert end_of(elsewhere)[0] == "COMPLETED 50 of 50 sent"
        assert smtp.most_open == 2
    assert prefect.taken() == 0


def test_slots_of_a_killed_process_come_back_at_once_on_its_machine(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        prefect.block(smtp, max_sessions=2)
        killed = start("killed", 10_000, throttle={"per_second": 60})
        until(lambda: smtp.open, lambda seen: seen == 2)
        until(prefect.taken, lambda taken: taken == 2)
        killed.kill()
        killed.wait()
        state, log = end_of(start("next", 50))
        assert state == "COMPLETED 50 of 50 sent"
        assert "waits for a session" not in log
    assert prefect.taken() == 0
