"""An empty database for one chaos run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailsluice.core.errors import OutboxError
from mailsluice.store import Database
from tests.postgresql import postgresql

_TRIES = 20
"""Each try waits five seconds while another process holds the database, to create its schema."""


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of a database; a PostgreSQL server is started for it, and stopped."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'chaos.db'}"
        return
    with postgresql() as server:
        yield server.get_uri()


def opened(url: str) -> Database:
    """Open the database; a run that creates the schema may hold it for long on a busy machine."""
    for _ in range(_TRIES):
        with suppress(OutboxError):
            return Database(url)
    return Database(url)
