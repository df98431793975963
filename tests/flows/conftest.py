"""A real Prefect server for the flow tests, and SMTP servers to send to."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, socket
from typing import NoReturn
from unittest.mock import patch

import pytest
from prefect.client.orchestration import get_client
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from blocks import SMTPConnection
from deployments import server
from mailsluice.store import Database
from tests.forked import prefect_server
from tests.groups import items_beside
from tests.prefect_database import give_database
from tests.saved_blocks import save
from tests.smtpd import SmtpServer

Servers = dict[str, SmtpServer]
_NAMES = ("red", "green", "blue")

_FIRST = {
    "test_authorise.py",
    "test_automations.py",
    "test_collect_events.py",
    "test_events.py",
    "test_list_campaigns.py",
    "test_notifications.py",
    "test_oauth.py",
    "test_plan_campaign.py",
    "test_progress.py",
    "test_report.py",
    "test_run_day.py",
    "test_send_test.py",
}
"""Half of the tests, by what they cost: the others are the second half."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make two groups, each with a Prefect server, which costs as much as two tests."""
    for item in items_beside(__file__, items):
        half = 1 if item.path.name in _FIRST else 2
        item.add_marker(pytest.mark.xdist_group(f"flows-{half}"))


@pytest.fixture(scope="package", autouse=True)
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address of the Prefect server that a group of flow tests shares.

    Runs send it no log lines and ask for no tokens, a tenth of their requests. It calls SQLite
    without threads. It does not record the states of tasks, which saves a twentieth of its time.
    `tests/served` has all of these. The settings end with the group, because other tests may follow
    in this process.
    """
    api_url = f"http://127.0.0.1:{server.free_port()}/api"
    home = tmp_path_factory.mktemp("prefect")
    give_database(home)
    settings = {
        PREFECT_API_URL: api_url,
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    without = {
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    }
    with (
        prefect_server(api_url, home, without, threads=False),
        temporary_settings(settings),
        # Prefect would ask the server once or twice in a run, by a new connection.
        patch("prefect.results._read_server_default_result_storage_block_id", lambda: None),
    ):
        yield api_url
        EventsWorker.drain_all(timeout=server.STOP_SECONDS)


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state database with its schema and without rows: the migrations take 0.05 seconds."""
    path = tmp_path_factory.mktemp("state") / "mailsluice.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, empty_state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has its own state database."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("MAILSLUICE_HOME", str(home))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)
    own = home / "mailsluice.db"
    shutil.copy(empty_state, own)
    return own


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pictures out of reports: drawing is an eighth of a run, and `test_report.py` has it."""
    monkeypatch.setattr("mailsluice.reports.campaign.figures.pictures", lambda report: {})


@pytest.fixture(autouse=True)
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave links to filled-in forms out of pages: they are a fifth of a run's requests.

    `test_report.py` has them, and the browser follows them.
    """

    def away() -> NoReturn:
        raise ConnectionError("no server for links")

    monkeypatch.setattr("tasks.form_links.get_client", away)


@pytest.fixture
def links(no_links: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the links."""
    monkeypatch.setattr("tasks.form_links.get_client", get_client)


@pytest.fixture
async def own_automations() -> AsyncIterator[None]:
    """Delete the automations of a test, which would act on the runs of the next one."""
    yield
    async with get_client() as client:
        for automation in await client.read_automations():
            await client.delete_automation(automation.id)


@pytest.fixture
async def own_deployments() -> AsyncIterator[None]:
    """Delete the deployments of a test, whose schedules and runs would be those of the next one."""
    yield
    async with get_client() as client:
        for deployment in await client.read_deployments():
            await client.delete_deployment(deployment.id)


_ports: dict[str, int] = {}
"""Where the servers of each name listen: in one test after the other, so that blocks stay valid."""
_saved: dict[tuple[str | None, str], dict[str, object]] = {}
"""The fields that a connection block was saved with last, by Prefect server and name."""


@pytest.fixture
def servers() -> Iterator[dict[str, SmtpServer]]:
    """Three SMTP servers, each with the connection block of its name: red, green, blue."""
    with ExitStack() as running:
        found = {name: running.enter_context(_at_its_port(name)) for name in _NAMES}
        for name, smtp_server in found.items():
            if _saved.get(_key(name)) != _fields(smtp_server):
                save_block(name, smtp_server)
        yield found


def _at_its_port(name: str) -> SmtpServer:
    """Make the server of this name, which listens where the one before it did, if it can."""
    if not _is_free(_ports.get(name, 0)):
        _ports[name] = server.free_port()
    smtp_server = SmtpServer()
    smtp_server.port = _ports[name]
    return smtp_server


def _is_free(port: int) -> bool:
    """Whether a server can listen on a port; on port 0 it would listen on any."""
    with socket() as probe, suppress(OSError):
        probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as servers do
        probe.bind(("127.0.0.1", port))
        return port != 0
    return False


async def saved_block(name: str) -> SMTPConnection:
    """The connection block of this name, as a run would load it."""
    block = await SMTPConnection.aload(name)
    assert isinstance(block, SMTPConnection)
    return block


def save_block(name: str, smtp_server: SmtpServer, **fields: object) -> None:
    """Save a connection block that reaches a test server."""
    values = {**_fields(smtp_server), **fields}
    save(SMTPConnection(**values), name)
    _saved[_key(name)] = values


def _fields(smtp_server: SmtpServer) -> dict[str, object]:
    return {"host": smtp_server.host, "port": smtp_server.port, "security": "none"}


def _key(name: str) -> tuple[str | None, str]:
    return PREFECT_API_URL.value(), name
