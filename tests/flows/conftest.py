"""A real Prefect server for the flow tests, and SMTP servers to send to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from blocks import SMTPConnection
from tests.smtpd import SmtpServer

Servers = dict[str, SmtpServer]


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """One Prefect server for all flow tests."""
    with prefect_test_harness(server_startup_timeout=60):
        yield


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has its own state database."""
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)
    return tmp_path / "home" / "mailsluice.db"


@pytest.fixture
def servers() -> Iterator[dict[str, SmtpServer]]:
    """Three SMTP servers, each with the connection block of its name: red, green, blue."""
    with SmtpServer() as red, SmtpServer() as green, SmtpServer() as blue:
        found = {"red": red, "green": green, "blue": blue}
        for name, server in found.items():
            save_block(name, server)
        yield found


def save_block(name: str, server: SmtpServer, **fields: object) -> None:
    """Save a connection block that reaches a test server."""
    values = {"host": server.host, "port": server.port, "security": "none", **fields}
    SMTPConnection(**values).save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
