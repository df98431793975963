"""An empty database for one chaos run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgresql import postgresql


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Its URL; a PostgreSQL server is started for it, and stopped."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'chaos.db'}"
        return
    with postgresql() as server:
        yield server.get_uri()
