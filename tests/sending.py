"""A campaign on its way to two SMTP servers, sent by the served deployment.

Whoever stops it in the middle has its connections slow first: then it has minutes of mail left,
however slow the machine is, and nobody has to be quick.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.serving import FINAL, Served
from tests.smtpd import SmtpServer

RECIPIENTS = 400
SLOW = {"per_second": 1}
"""A connection's limit: minutes for all."""


class Sending:
    """A campaign under way on the served deployment."""

    def __init__(
        self,
        served: Served,
        servers: dict[str, SmtpServer],
        home: Path,
        save_connection: Callable[..., None],
    ) -> None:
        self.served = served
        self.servers = servers
        self.home = home
        self.id = ""
        self.name = ""
        self._started: list[str] = []
        self._save_connection = save_connection

    def connect(self, **fields: Any) -> None:
        """Save the connections' blocks anew, with these fields besides the server's address.

        A run that starts takes them up; one that is at work does within ten seconds.
        """
        for name, server in self.servers.items():
            self._save_connection(name, port=server.port, **fields)

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
            **fields,
        }
        path = f"/deployments/{self.served.deployment_id}/create_flow_run"
        reply = self.served.api.post(path, json={"parameters": {"campaign": campaign}})
        self.id = reply.raise_for_status().json()["id"]
        self._started.append(self.id)

    @property
    def received(self) -> Counter[str]:
        return sum((server.recipients for server in self.servers.values()), Counter[str]())

    def total(self) -> int:
        return self.received.total()

    def wait_for(self, number: int) -> None:
        eventually(self.total, lambda seen: seen >= number, what=f"{number} messages")

    def state(self) -> dict[str, Any]:
        return self._state_of(self.id)

    def _state_of(self, run_id: str) -> dict[str, Any]:
        run = self.served.api.get(f"/flow_runs/{run_id}").raise_for_status().json()
        return dict(run["state"])

    def until_state(self, *names: str) -> dict[str, Any]:
        return eventually(self.state, lambda state: state["name"] in names, what=f"state {names}")

    def until_it_runs_again(self) -> None:
        """Wait until the run, which crashed, was started again by an automation of `make serve`.

        It may have ended again by then.
        """

        def goes_on(states: list[str]) -> bool:
            return "Running" in dropwhile(lambda name: name != "AwaitingRetry", states)

        states = eventually(self.history, goes_on, what="the crashed run goes on by itself")
        assert states.index("AwaitingRetry") > states.index("Crashed")

    def set_state(
        self, kind: str, name: str, of: str | None = None, *, force: bool = False, **details: Any
    ) -> None:
        state = {"type": kind, "name": name, "state_details": details}
        path = f"/flow_runs/{of or self.id}/set_state"
        self.served.api.post(path, json={"state": state, "force": force}).raise_for_status()

    def suspend(self) -> None:
        """Do what the UI's button does."""
        self._suspend(timedelta(minutes=5))

    def let_suspension_time_out(self) -> None:
        """Have the time pass in which the suspended run could be resumed."""
        self._suspend(timedelta(), force=True)

    def _suspend(self, time_to_resume: timedelta, *, force: bool = False) -> None:
        timeout = (datetime.now(UTC) + time_to_resume).isoformat()
        self.set_state(
            "PAUSED", "Suspended", force=force, pause_reschedule=True, pause_timeout=timeout
        )

    def end(self) -> None:
        """Cancel what was started and has not ended: it would share limits with the next test."""
        for run_id in self._started:
            kind = self._state_of(run_id)["type"]
            if kind == "RUNNING":
                self.set_state("CANCELLING", "Cancelling", of=run_id)
                self.served.run_when_final(run_id)
            elif kind not in FINAL:
                self.set_state("CANCELLED", "Cancelled", of=run_id, force=True)

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

    def until_quiet(self) -> None:
        """Wait until nothing can come any more: no run holds the campaign, no session is open."""
        eventually(self._owner, lambda owner: owner is None, what="the campaign's run ends")
        eventually(self._open_sessions, lambda number: number == 0, what="sessions are closed")
        rows = self.rows()
        assert rows["sending"] == 0
        assert rows["sent"] <= self.total() <= rows["sent"] + rows["uncertain"]

    def is_in_the_middle(self) -> bool:
        return 0 < self.total() < RECIPIENTS

    def _owner(self) -> object:
        with sqlite3.connect(self.served.state) as connection:
            query = "SELECT owner FROM campaigns WHERE name = ?"
            return connection.execute(query, (self.name,)).fetchone()[0]

    def _open_sessions(self) -> int:
        return sum(server.open for server in self.servers.values())

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
        sending = Sending(served, servers, tmp_path, save_connection)
        sending.connect()
        yield sending
        sending.end()
