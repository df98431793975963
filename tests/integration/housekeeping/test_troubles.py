"""Archiving that is killed, or whose files are not what was written, on every database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.operations.housekeeping import housekeeping as steps
from mailsluice.store import Database
from mailsluice.store.archive_rows import ArchiveRows
from mailsluice.store.archives import Archives
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.schema import recipients
from tests.integration.accounts_fixtures import execute
from tests.integration.housekeeping.conftest import (
    GROWING,
    NOTHING,
    archive,
    archived_rows,
    everything,
    failing,
    old_campaign,
    rows,
)


class KilledError(BaseException):
    """A kill, which no handler catches."""


def killed_before_the_rows_go(database: Database, folder: Path) -> None:
    """Write and record an archive without deleting its rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "clear", failing(KilledError()))
        with pytest.raises(KilledError):
            archive(database, folder)


class TestKilled:
    """After a kill at any step, each row is in the database or in a recorded, complete archive."""

    def killed_at(self, step: int) -> Callable[[], None]:
        left = iter(range(step))

        def goes_on() -> None:
            if next(left, None) is None:
                raise KilledError

        return goes_on

    def check(self, database: Database, before: dict[str, list[tuple[Any, ...]]]) -> None:
        record = Archives(database).find(1)
        for table in GROWING:
            found = set(rows(database, table))
            if record:
                found |= set(archived_rows(record.folder, table))
            assert found == set(before[table.name])

    def test_a_kill_between_two_pieces_of_work_loses_no_row(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        before = everything(database)
        for step in range(100):
            try:
                archive(database, folder, goes_on=self.killed_at(step))
            except KilledError:
                self.check(database, before)
            else:
                break
        assert step > 5
        self.check(database, before)
        assert everything(database) == NOTHING
        assert archive(database, folder).due == 0

    @pytest.mark.parametrize(
        ("where", "step"),
        [
            (steps, "verify_written"),  # the folder has its name, nobody knows of it
            (Archives, "add"),  # it was read back, nobody knows of it
            (steps, "clear"),  # it is recorded, nothing is deleted
            (Archives, "cleared"),  # all is deleted, nobody knows of it
        ],
    )
    def test_a_kill_before_a_step_loses_no_row(
        self, database: Database, folder: Path, where: Any, step: str
    ) -> None:
        old_campaign(database)
        before = everything(database)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, step, failing(KilledError()))
            with pytest.raises(KilledError):
                archive(database, folder)
        self.check(database, before)
        assert not archive(database, folder).troubled
        self.check(database, before)
        assert everything(database) == NOTHING

    def test_an_unfinished_archive_is_replaced(self, database: Database, folder: Path) -> None:
        old_campaign(database)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            with pytest.raises(KilledError):
                archive(database, folder, goes_on=self.killed_at(2))
        assert [path.name for path in folder.iterdir()] == [".1-spring.unfinished"]
        archive(database, folder)
        assert [path.name for path in folder.iterdir()] == ["1-spring"]


class TestNotWhatWasWritten:
    def test_an_archive_with_missing_rows_deletes_nothing(
        self, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old_campaign(database)
        before = everything(database)
        read = ArchiveRows.read

        def read_less(*given: Any) -> Iterator[Any]:
            yield from (chunk[:-1] for chunk in read(*given) if chunk[:-1])

        monkeypatch.setattr(ArchiveRows, "read", read_less)
        (done,) = archive(database, folder).done
        assert "rows read back" in done.trouble
        assert everything(database) == before
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("name", ["recipients.parquet", "manifest.json"])
    @pytest.mark.parametrize("change", ["missing", "other"])
    def test_a_changed_archive_stops_the_deletion(
        self, database: Database, folder: Path, name: str, change: str
    ) -> None:
        old_campaign(database)
        killed_before_the_rows_go(database, folder)
        before = everything(database)
        path = folder / "1-spring" / name
        path.unlink() if change == "missing" else path.write_bytes(path.read_bytes() + b" ")
        (done,) = archive(database, folder).done
        assert "stay there" in done.trouble
        assert everything(database) == before

    def test_a_row_missing_in_the_files_stays_in_the_database(
        self, database: Database, folder: Path
    ) -> None:
        """Rows that are not in the files are not deleted, nor is the table that has one."""
        old_campaign(database)
        killed_before_the_rows_go(database, folder)
        late = {"email": "late@example.com", "connection": "a", "status": "sent", "variables": "{}"}
        with_it = tables_of(database, 1).recipients
        execute(database, sa.insert(with_it).values(campaign_id=1, **late))
        archive(database, folder)
        assert "late@example.com" in [row[2] for row in rows(database, recipients)]

    def test_an_unarchived_attempt_keeps_its_recipient(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        killed_before_the_rows_go(database, folder)
        (first, *_) = rows(database, recipients)
        late = {"phase": "rcpt", "verdict": "deferred", "reply": "", "connection": "a", "at": 1.0}
        execute(
            database,
            sa.insert(tables_of(database, 1).attempts).values(recipient_id=first[0], **late),
        )
        (done,) = archive(database, folder).done
        assert "were recorded after it was archived" in done.trouble
        assert first in rows(database, recipients)


def test_an_existing_archive_is_never_overwritten(database: Database, folder: Path) -> None:
    """An archive of another database may have the same id and name."""
    (folder / "1-spring").mkdir()
    old_campaign(database)
    (done,) = archive(database, folder).done
    assert done.folder == str(folder / "1-spring-2")
    assert list((folder / "1-spring").iterdir()) == []
