"""A throttled campaign on its way to two SMTP servers, sent by the served deployment."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.serving import Served
from tests.smtpd import SmtpServer

RECIPIENTS = 400
PER_SECOND = 50
"""Eight seconds for all: whoever stops it in the middle may take some of them."""


class Sending:
    """A campaign under way on the served deployment."""

    def __init__(self, served: Served, servers: dict[str, SmtpServer], home: Path) -> None:
        self.served = served
        self.servers = servers
        self.home = home
        self.id = ""
        self.name = ""

    def start(self, name: str | None = None, **fields: Any) -> None:
        """Start a run; `fields` replace those of the campaign."""
        csv = self.home / "recipients.csv"
        rows = (f"user{i}@d{i % 7}.example.com" for i in range(RECIPIENTS))
        csv.write_text("email\n" + "\n".join(rows) + "\n")
        self.name = name or f"campaign of {self.home.name}"
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
        eventually(self.total, lambda seen: seen >= number)

    def state(self) -> dict[str, Any]:
        run = self.served.api.get(f"/flow_runs/{self.id}").raise_for_status().json()
        return dict(run["state"])

    def until_state(self, *names: str) -> dict[str, Any]:
        return eventually(self.state, lambda state: state["name"] in names)

    def set_state(self, kind: str, name: str, of: str | None = None, **details: Any) -> None:
        state = {"type": kind, "name": name, "state_details": details}
        path = f"/flow_runs/{of or self.id}/set_state"
        self.served.api.post(path, json={"state": state}).raise_for_status()

    def suspend(self, seconds: float = 300) -> None:
        """What the UI's button does; after so many seconds it cannot be resumed any more."""
        timeout = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        self.set_state("PAUSED", "Suspended", pause_reschedule=True, pause_timeout=timeout)

    def history(self) -> list[str]:
        """The names of the states that the run has been in, in order."""
        path = "/flow_run_states/"
        reply = self.served.api.get(path, params={"flow_run_id": self.id}).raise_for_status()
        return [state["name"] for state in sorted(reply.json(), key=lambda one: one["timestamp"])]

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

        eventually(owner, lambda found: found is None)
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
