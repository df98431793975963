"""Suspend, Resume, Cancel, Retry and SIGTERM act on a running campaign, nobody gets it twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Served, until
from tests.smtpd import Settings, SmtpServer

RECIPIENTS = 400
PER_SECOND = 80


class Sending:
    """A campaign under way on the served deployment."""

    def __init__(self, served: Served, servers: dict[str, SmtpServer], home: Path) -> None:
        self.served = served
        self.servers = servers
        self.home = home
        self.id = ""
        self.name = ""

    def start(self, **fields: Any) -> None:
        csv = self.home / "recipients.csv"
        rows = (f"user{i}@d{i % 7}.example.com" for i in range(RECIPIENTS))
        csv.write_text("email\n" + "\n".join(rows) + "\n")
        self.name = f"campaign of {self.home.name}"
        campaign = {
            "name": self.name,
            "recipients": {"path": str(csv)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": [
                {"connection": "red", "percent": 70},
                {"connection": "green", "percent": 30},
            ],
            "throttle": {"per_second": PER_SECOND},
            **fields,
        }
        path = f"/deployments/{self.served.deployment_id}/create_flow_run"
        reply = self.served.api.post(path, json={"parameters": {"campaign": campaign}})
        self.id = reply.raise_for_status().json()["id"]

    @property
    def received(self) -> Counter[str]:
        return sum((server.recipients for server in self.servers.values()), Counter[str]())

    def total(self) -> int:
        return self.received.total()

    def wait_for(self, number: int) -> None:
        until(self.total, lambda seen: seen >= number)

    def state(self) -> dict[str, Any]:
        run = self.served.api.get(f"/flow_runs/{self.id}").raise_for_status().json()
        return dict(run["state"])

    def until_state(self, *names: str) -> dict[str, Any]:
        return until(self.state, lambda state: state["name"] in names)

    def set_state(self, kind: str, name: str, **details: Any) -> None:
        state = {"type": kind, "name": name, "state_details": details}
        path = f"/flow_runs/{self.id}/set_state"
        self.served.api.post(path, json={"state": state}).raise_for_status()

    def suspend(self) -> None:
        """What the UI's button does."""
        timeout = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        self.set_state("PAUSED", "Suspended", pause_reschedule=True, pause_timeout=timeout)

    def children(self) -> list[dict[str, Any]]:
        body = {"flow_runs": {"parent_flow_run_id": {"any_": [self.id]}}}
        runs = self.served.api.post("/flow_runs/filter", json=body).raise_for_status().json()
        return list(runs)

    def rows(self) -> Counter[str]:
        with sqlite3.connect(self.served.state) as connection:
            found = connection.execute(
                "SELECT status, count(*) FROM recipients WHERE campaign_id ="
                " (SELECT id FROM campaigns WHERE name = ?) GROUP BY status",
                (self.name,),
            ).fetchall()
        return Counter(dict(found))

    def is_quiet_within(self, seconds: float) -> None:
        """Until no run holds the campaign any more, in so many seconds; then nothing comes."""
        asked = time.monotonic()

        def owner() -> object:
            with sqlite3.connect(self.served.state) as connection:
                query = "SELECT owner FROM campaigns WHERE name = ?"
                return connection.execute(query, (self.name,)).fetchone()[0]

        until(owner, lambda found: found is None)
        took = time.monotonic() - asked
        seen = self.received.total()
        assert self.rows()["sending"] == 0
        assert self.rows()["sent"] == seen
        time.sleep(1)
        assert self.received.total() == seen
        assert took < seconds

    def log(self) -> str:
        body = {"logs": {"flow_run_id": {"any_": [self.id]}}, "limit": 200}
        lines = self.served.api.post("/logs/filter", json=body).raise_for_status().json()
        return "\n".join(line["message"] for line in lines)

    def everybody_got_it_once(self) -> None:
        assert len(self.received) == RECIPIENTS
        assert set(self.received.values()) == {1}


@pytest.fixture
def sending(
    served: Served, save_connection: Callable[..., None], tmp_path: Path
) -> Iterator[Sending]:
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        for name, server in servers.items():
            save_connection(name, port=server.port)
        yield Sending(served, servers, tmp_path)


def test_a_suspended_campaign_goes_on_where_it_stopped(sending: Sending) -> None:
    sending.start()
    sending.wait_for(60)
    sending.suspend()
    sending.is_quiet_within(10)
    assert sending.state()["name"] == "Suspended"
    assert "Running" not in [child["state_name"] for child in sending.children()]
    assert 60 <= sending.received.total() < RECIPIENTS
    sending.served.api.post(f"/flow_runs/{sending.id}/resume").raise_for_status()
    assert sending.until_state("Completed", "Failed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert "Traceback" not in sending.log()


def test_a_cancelled_campaign_sends_nothing_any_more(sending: Sending) -> None:
    sending.start()
    sending.wait_for(60)
    sending.set_state("CANCELLING", "Cancelling")
    sending.is_quiet_within(10)
    assert sending.until_state("Cancelled")["type"] == "CANCELLED"
    rows = sending.rows()
    assert rows == {"sent": sending.received.total(), "cancelled": rows["cancelled"]}
    assert rows.total() == RECIPIENTS
    assert "Traceback" not in sending.log()


def test_a_terminated_campaign_finishes_what_is_in_flight_and_can_be_retried(
    sending: Sending,
) -> None:
    sending.start()
    sending.wait_for(60)
    os.kill(sending_process(sending.name), signal.SIGTERM)
    sending.is_quiet_within(10)
    assert sending.until_state("Crashed", "Cancelled", "Failed", "Completed")["name"] == "Crashed"
    assert sending.rows()["uncertain"] == 0
    sending.set_state("SCHEDULED", "AwaitingRetry")
    assert sending.until_state("Completed", "Failed")["name"] == "Completed"
    sending.everybody_got_it_once()


def test_a_second_run_of_the_same_campaign_is_refused_naming_the_first(sending: Sending) -> None:
    slow = {"per_second": 20}
    sending.start(throttle=slow)
    sending.wait_for(20)
    first, name = sending.id, sending.name
    sending.start(throttle=slow)
    state = sending.until_state("Failed", "Completed", "Crashed")
    assert state["name"] == "Failed"
    assert f"is being sent by run '{name} ({first})" in state["message"]
    assert "Traceback" not in sending.log()
    sending.id = first
    sending.set_state("CANCELLING", "Cancelling")
    sending.until_state("Cancelled")


def test_a_failed_run_is_finished_by_retry(
    sending: Sending, save_connection: Callable[..., None]
) -> None:
    with SmtpServer(Settings(users={"u": "right"})) as demanding:
        login = {"username": "u", "allow_plain_password": True}
        save_connection("green", port=demanding.port, password="wrong", **login)
        sending.start(throttle={})
        state = sending.until_state("Failed", "Completed", "Crashed")
        assert "280 of 400 sent, 120 pending; green is down: login: 535" in state["message"]
        save_connection("green", port=sending.servers["green"].port)
        sending.set_state("SCHEDULED", "AwaitingRetry")
        assert sending.until_state("Completed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()


def sending_process(name: str) -> int:
    """The process that runs the campaign: the one that has its journal open."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            files = [link.readlink().name for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if any(file.endswith(".journal") for file in files):
            return int(folder.name)
    raise AssertionError(f"no process is sending {name}")
