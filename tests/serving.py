"""`make serve` for real, for the tests that use it through its API or its UI."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import SMTPConnection
from deployments.server import free_port, stop
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.forked import SERVER_SETTINGS, Forked
from tests.prefect_database import give_database
from tests.saved_blocks import save

ONE_REQUEST = httpx.Limits(max_keepalive_connections=0)
"""A connection for each request: Prefect's server closes one that is idle for five seconds, which
may be the moment of the next request.
"""
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Served:
    """A running `deployments.serve`."""

    url: str
    """Where the UI is, without a slash at the end."""
    api: httpx.Client
    deployment_id: str
    state: Path
    """The SQLite file of its state database."""

    def ui_url(self, ui: str) -> str:
        """Where the newer UI ("v2") or the older one is."""
        return self.url + {"v1": "", "v2": "/v2"}[ui]

    def deployment_url(self, ui: str, deployment_id: str | None = None) -> str:
        """The page of the send-campaign, or another, deployment."""
        return f"{self.ui_url(ui)}/deployments/deployment/{deployment_id or self.deployment_id}"

    def form_url(self, ui: str, deployment_id: str | None = None) -> str:
        """The page with its run form."""
        return f"{self.deployment_url(ui, deployment_id)}/run"

    def deployment(self, flow: str) -> str:
        """The id of a flow's deployment, as soon as it is served."""
        name = "default" if flow == "send-campaign" else flow
        path = f"/deployments/name/{flow}/{name}"
        found = eventually(lambda: self.api.get(path), lambda reply: reply.status_code == 200)
        return str(found.json()["id"])

    def run_when_final(self, run_id: str) -> dict[str, Any]:
        """The flow run, as soon as its state is final."""
        path = f"/flow_runs/{run_id}"
        return eventually(lambda: _json(self.api.get(path)), lambda run: run["state_type"] in FINAL)


class CsrfToken(httpx.Auth):
    """Sends a token with each change, as Prefect's clients and its UI do; and a login, if any."""

    requires_response_body = True

    def __init__(self, login: str | None = None) -> None:
        self._client = uuid4().hex
        self._login = {}
        if login:
            encoded = b64encode(login.encode()).decode()
            self._login = {"Authorization": f"Basic {encoded}"}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self._login)
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            path = f"/api/csrf-token?client={self._client}".encode()
            address = request.url.copy_with(raw_path=path)
            reply = yield httpx.Request("GET", address, headers=self._login)
            request.headers["Prefect-Csrf-Token"] = reply.raise_for_status().json()["token"]
            request.headers["Prefect-Csrf-Client"] = self._client
        yield request


def _json(reply: httpx.Response) -> Any:
    return reply.raise_for_status().json()


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`make serve` on a port and a home of its own, until the package's tests are done."""
    home = tmp_path_factory.mktemp("serve")
    give_database(home / "prefect")
    url = f"http://127.0.0.1:{free_port()}"
    with (
        serving(
            home, {"PREFECT_API_URL": f"{url}/api"}, program="tests.forked.serve", popen=Forked
        ) as process,
        httpx.Client(
            base_url=f"{url}/api", auth=CsrfToken(), timeout=PATIENCE_SECONDS, limits=ONE_REQUEST
        ) as api,
    ):
        deployment_id = _deployment_id(api, process, home / "serve.log")
        yield Served(url, api, deployment_id, home / "mailsluice" / "mailsluice.db")


@contextmanager
def serving(
    home: Path,
    environment: dict[str, str],
    *options: str,
    program: str = "deployments.serve",
    popen: type[subprocess.Popen[bytes]] = subprocess.Popen,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `make serve` with these options; what it prints is in `serve.log` in its home."""
    environment = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        **SERVER_SETTINGS,
        "MAILSLUICE_HOME": str(home / "mailsluice"),
        "MAILSLUICE_WAIT_SECONDS": "5",
        **environment,
    }
    with (home / "serve.log").open("wb") as log:
        process = popen(
            [sys.executable, "-m", program, *options],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            stop(process, seconds=60)  # it stops its server, and waits for that


def _deployment_id(api: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> str:
    def look() -> httpx.Response | None:
        assert process.poll() is None, log.read_text()
        try:
            return api.get("/deployments/name/send-campaign/default")
        except httpx.TransportError:
            return None

    found = eventually(look, lambda reply: reply is not None and reply.status_code == 200)
    return str(_json(found)["id"])  # type: ignore[arg-type]


@pytest.fixture
def save_connection(served: Served) -> Iterator[Callable[..., None]]:
    """Save an SMTP connection block under a name: `save_connection("a", port=2525)`."""

    def save_connection(name: str, **fields: Any) -> None:
        save(SMTPConnection(**{"host": "127.0.0.1", "security": "none", **fields}), name)

    with temporary_settings({PREFECT_API_URL: f"{served.url}/api"}):
        yield save_connection
