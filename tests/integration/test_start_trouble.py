"""Faults when the state database or the journal is opened: one line each."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from mailsluice.core.errors import JournalError, OutboxError
from mailsluice.delivery.journal import Journal
from mailsluice.store import Database


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql://u:secret@host:port/x", "not a SQLAlchemy URL.*write %40 for @"),
        ("postgresql://u:sec:ret@:/@host/x/y:5", "MAILSLUICE_DATABASE_URL|cannot be used"),
        ("postgres://u:secret@host/x", "begin with sqlite:// or postgresql://"),
        ("oracle+cx_oracle://u:secret@host/x", "SQLite or PostgreSQL, not oracle"),
        ("postgresql://u:secret@127.0.0.1:1/x?nonsense=1", "options at the end of MAILSLUICE"),
        ("sqlite:////tmp/x.db?timeout=soon&password=secret", "options at the end of MAILSLUICE"),
        ("postgresql://u:secret@127.0.0.1:1/x", "does not answer.*check MAILSLUICE_DATABASE_URL"),
        ("postgresql://u@127.0.0.1:1/x?password=secret", "does not answer"),
    ],
)
def test_a_url_that_cannot_work(url: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match=complaint) as caught:
        Database(url.replace("/tmp/", f"{tmp_path}/"))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_drivers_of_the_same_databases_are_replaced_by_ours(tmp_path: Path) -> None:
    Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}").close()


def test_a_path_in_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Database("sqlite:///~/mine/a.db").close()
    assert (tmp_path / "mine" / "a.db").stat().st_size > 0


def test_a_role_that_is_not_there(postgres_server: str) -> None:
    wrong = "postgresql://nobody:secret@" + postgres_server.partition("@")[2]
    with pytest.raises(OutboxError, match="MAILSLUICE_DATABASE_URL") as caught:
        Database(wrong)
    assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        OutboxError, match=r"driver for postgresql cannot be loaded.*install psycopg"
    ):
        Database("postgresql://u:secret@127.0.0.1:1/x")


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    for name in ("home/a.db", "home/below/a.db"):
        with pytest.raises(OutboxError, match=r"cannot be created or written.*MAILSLUICE_HOME"):
            Database(f"sqlite:///{tmp_path / name}")
    with pytest.raises(JournalError, match="MAILSLUICE_HOME"):
        Journal(tmp_path / "home" / "journals" / "one.journal")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"email,name\n" * 1_000)
    with pytest.raises(
        OutboxError, match=r"cannot be used, it is damaged, or another.*not a database"
    ):
        Database(f"sqlite:///{tmp_path / 'a.db'}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_is_full_or_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("mailsluice.core.private.os.open", refuse)
        with pytest.raises(OutboxError, match=os.strerror(number)):
            Database(f"sqlite:///{tmp_path / 'a.db'}")
        with pytest.raises(JournalError, match=os.strerror(number)):
            Journal(tmp_path / "one.journal")
    journal = Journal(tmp_path / "one.journal")
    monkeypatch.setattr("mailsluice.delivery.journal.os.posix_fallocate", refuse)
    with pytest.raises(JournalError, match="nothing is sent without it"):
        journal.start()
    journal.close()


def test_a_database_that_another_process_has_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that another process creates; one of this version is opened without a lock."""
    monkeypatch.setattr("mailsluice.store.database._BUSY_TIMEOUT_SECONDS", 0)
    path = tmp_path / "a.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutboxError, match="is held by another process") as caught:
            Database(f"sqlite:///{path}")
        other.execute("ROLLBACK")
    other.close()
    assert "Then try again" in str(caught.value)
    assert "MAILSLUICE_DATABASE_URL" not in str(caught.value)
    Database(f"sqlite:///{path}").close()
