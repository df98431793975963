"""Files on disk can be read by their owner alone, whatever the umask of the process is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from mailsluice.core import private
from mailsluice.core.private import warn_of_open
from mailsluice.core.table_file import write_tables
from mailsluice.store import Database
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.smtpd import SmtpServer


@pytest.fixture(autouse=True, params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """List what others can read or enter in a folder, the folder included, with modes."""
    found = [folder, *folder.rglob("*")]
    modes = {str(one): stat.S_IMODE(one.stat().st_mode) for one in found}
    return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


async def test_a_campaigns_database_journal_and_home(tmp_path: Path) -> None:
    """The write-ahead log too, which is there while the database is open."""
    home = tmp_path / "above" / "home"
    with Database(f"sqlite:///{home / 'mailsluice.db'}") as database, SmtpServer() as server:
        sender = Sender(database, home)
        await sender.send(campaign(tmp_path, people(3)), [connection("red", server)])
        names = {one.name for one in home.rglob("*")}
        assert {"mailsluice.db", "mailsluice.db-wal", "mailsluice.db-shm", "journals"} <= names
        assert open_to_others(tmp_path / "above") == {}


def test_a_file_that_is_exported(tmp_path: Path) -> None:
    schema = pa.schema([("email", pa.string())])
    for name in ("list.csv", "list.parquet"):
        write_tables(tmp_path / name, schema, iter([pa.table({"email": ["a@example.com"]})]))
        assert open_to_others(tmp_path / name) == {}


def test_what_is_open_already_is_told_once_with_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "_warned", set())
    home = tmp_path / "my home"
    home.mkdir()
    home.chmod(0o755)
    warn_of_open([home, tmp_path / "missing"])
    warn_of_open([home])
    (record,) = caplog.records
    assert f"chmod -R go= '{home}'" in record.getMessage()
    home.chmod(0o700)
    monkeypatch.setattr(private, "_warned", set())
    warn_of_open([home])
    assert len(caplog.records) == 1


def test_a_database_that_is_open_already_is_told_and_stays_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    path = tmp_path / "shared.db"
    path.touch()
    path.chmod(0o644)
    Database(f"sqlite:///{path}").close()
    assert f"chmod -R go= {path}" in caplog.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
