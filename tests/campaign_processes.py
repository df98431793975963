"""Campaigns in processes of their own, over one connection, and a Prefect server for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import SMTPConnection
from deployments.server import free_port
from tests.eventually import PATIENCE_SECONDS
from tests.forked import Forked, prefect_server
from tests.prefect_database import give_database
from tests.saved_blocks import save
from tests.serving import ONE_REQUEST, CsrfToken
from tests.smtpd import SmtpServer

RUN = """
import asyncio, json, sys
from flows.send_campaign import send_campaign
state = asyncio.run(send_campaign(json.loads(sys.argv[1]), return_state=True))
print(state.type.value, state.message)
"""
_LIMIT = "/v2/concurrency_limits/smtp-red"
Start = Callable[..., "subprocess.Popen[str]"]


PATIENT = {"timeout_seconds": 600}
"""A connection's field: for servers that hold their replies back for as long as a test likes."""


class Prefect:
    """A Prefect server whose leases are files."""

    def __init__(self, home: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}/api"
        self.home = home
        self._api = httpx.Client(
            base_url=self.url, auth=CsrfToken(), timeout=PATIENCE_SECONDS, limits=ONE_REQUEST
        )
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(prefect_server(self.url, self.home))

    def stop(self) -> None:
        self._running.close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server for the length of a `with` block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def connect(self, smtp: SmtpServer, **fields: Any) -> None:
        """Make the connection red anew; no limit of its name is left."""
        self.save_block(smtp, **fields)
        self._api.delete(_LIMIT)

    def save_block(self, smtp: SmtpServer, **fields: Any) -> None:
        """Save the block red."""
        self.save_as("red", smtp, **fields)

    def save_as(self, name: str, smtp: SmtpServer, /, **fields: Any) -> None:
        """Save a block of this name."""
        with temporary_settings({PREFECT_API_URL: self.url}):
            block = SMTPConnection(host=smtp.host, port=smtp.port, security="none", **fields)
            save(block, name)

    def set(self, **fields: Any) -> None:
        """What an operator changes in the UI."""
        self._api.patch(_LIMIT, json=fields).raise_for_status()

    def runs(self) -> list[dict[str, Any]]:
        """The flow runs so far, subflows as well."""
        return list(self._api.post("/flow_runs/filter", json={}).raise_for_status().json())

    def taken(self, limit: str = "smtp-red") -> int:
        reply = self._api.get(f"/v2/concurrency_limits/{limit}").raise_for_status()
        return int(reply.json()["active_slots"])

    def expire_leases(self) -> None:
        """As if their time had passed: a minute is too long for a test."""
        long_ago = "2020-01-01T00:00:00+00:00"
        folder = self.home / "concurrency_leases"
        index = folder / "expirations.json"
        expirations = json.loads(index.read_text())
        for lease in expirations:
            path = folder / f"{lease}.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"expiration": long_ago}))
        index.write_text(json.dumps(dict.fromkeys(expirations, long_ago)))


@pytest.fixture(scope="package")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    server = Prefect(tmp_path_factory.mktemp("prefect"))
    give_database(server.home)
    server.start()
    yield server
    server.stop()


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
            process = Forked(
                [sys.executable, "-c", RUN, json.dumps(campaign)],
                env=os.environ | environment,
                stdout=subprocess.PIPE,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The run's state with its message, and its log."""
    output, _ = process.communicate()
    return output.splitlines()[-1], output


def until_logged(process: subprocess.Popen[str], *parts: str) -> None:
    """Wait until the campaign has logged lines with all of these."""
    assert process.stdout
    missing = {*parts}
    while missing:
        line = process.stdout.readline()
        assert line, f"the campaign ended without {missing}"
        missing -= {part for part in missing if part in line}
