"""Prefect's own database, migrated once and copied for each test server.

A hundred migrations cost a new server half of its start. The migrated database, one for each
version of Prefect, is kept beside pytest's cache for the next run.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

_NAME = "prefect.db"
_KEPT = Path(__file__).resolve().parents[1] / ".pytest_cache" / "prefect"


def give_database(home: Path) -> None:
    """Put a migrated database into the home of a Prefect server that is about to start."""
    home.mkdir(parents=True, exist_ok=True)
    _copy(_template(), home / _NAME)


def _template() -> Path:
    """Give the database to copy; the first process that asks makes it, others wait for that."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    path = _KEPT / f"{version('prefect')}.db"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with TemporaryDirectory() as folder:
                _migrate(Path(folder))
                unfinished = path.with_suffix(".unfinished")
                unfinished.unlink(missing_ok=True)
                _copy(Path(folder) / _NAME, unfinished)
            unfinished.rename(path)
    return path


def _migrate(home: Path) -> None:
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    environment = os.environ | {"PREFECT_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Prefect's database could not be migrated: {done.stdout}{done.stderr}")


def _copy(source: Path, target: Path) -> None:
    """Copy a SQLite database with what is in its write-ahead log."""
    with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)
