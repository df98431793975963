"""An empty database for one chaos run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailsluice.core.errors import OutboxError
from mailsluice.store import Database
from tests.postgresql import postgresql

_TRIES = 20
"""Each lasts five seconds where another process holds the database, as the first one does."""


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Its URL; a PostgreSQL server is started for it, and stopped."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'chaos.db'}"
        return
    with postgresql() as server:
        yield server.get_uri()


def opened(url: str) -> Database:
    """Open the database, which a run may hold for long on a busy machine: it creates the schema."""
    for _ in range(_TRIES):
        with suppress(OutboxError):
            return Database(url)
    return Database(url)
