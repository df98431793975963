"""A process may open its SQLite database twice, as a run beside a report does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from mailsluice.store import Database
from mailsluice.store.schema import suppressions
from tests.integration.campaign_fixtures import lock

_OPEN_AND_CLOSE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM suppressions").fetchall()
connection.close()
"""


def test_opening_a_database_again_keeps_the_locks_of_the_first_time(tmp_path: Path) -> None:
    """Otherwise another process, as the last one that it knows of, deletes the write-ahead log."""
    path = tmp_path / "state.db"
    url = f"sqlite:///{path}"
    with Database(url) as first:
        row = {"email": "a@example.com", "reason": "manual", "source": "", "created_at": 1.0}
        with first.write() as transaction:
            transaction.execute(sa.insert(suppressions).values(row))
        Database(url).close()
        subprocess.run([sys.executable, "-c", _OPEN_AND_CLOSE, str(path)], check=True)
        assert path.with_name("state.db-wal").exists()
        with first.write() as transaction:
            transaction.execute(sa.update(suppressions).values(reason="unsubscribed"))
    with Database(url) as again, again.read() as connection:
        assert connection.execute(sa.select(suppressions.c.reason)).scalar_one() == "unsubscribed"


def test_a_link_to_a_missing_file_is_created_for_the_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with Database(f"sqlite:///{tmp_path / 'link.db'}"):
        assert (tmp_path / "real.db").stat().st_mode & 0o077 == 0


def test_a_database_is_opened_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Database(f"sqlite:///{path}").close()
    writer = lock(str(path))
    try:
        with Database(f"sqlite:///{path}") as database, database.read() as connection:
            assert not connection.execute(sa.select(suppressions.c.reason)).all()
    finally:
        writer.close()
