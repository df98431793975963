"""Deleting archived rows: whole tables, or rows whose keys are in the archive's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyarrow import parquet

from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.writing import GoesOn
from mailsluice.store import Database
from mailsluice.store.archive_parts import (
    ATTEMPTS,
    DELIVERIES,
    RECIPIENTS,
    REJECTS,
    ArchivePart,
)
from mailsluice.store.archive_rows import ArchiveRows, UnarchivedAttemptsError

CHUNK_ROWS = 2_000


def clear(
    database: Database,
    campaign_id: int,
    folder: Path,
    goes_on: GoesOn,
    chunk_rows: int = CHUNK_ROWS,
) -> int:
    """Delete an archived campaign's recipients and what belongs to them. Returns how many rows.

    Tables of the campaign alone are dropped. From tables with rows of other campaigns, rows are
    deleted in chunks, each in a transaction, so a run that sends meanwhile never waits for long. A
    call after an interruption continues. Raises HousekeepingError when the database has attempts
    that are not in the files.
    """
    rows = ArchiveRows(database, campaign_id)

    def delete(*parts: ArchivePart) -> int:
        return sum(
            _delete(rows, part, folder, goes_on, chunk_rows)
            for part in parts
            if rows.count(part) and (folder / part.file).exists()  # of an earlier version
        )

    try:
        if rows.are_in_own_tables:
            archived = {part: _number(folder / part.file) for part in (ATTEMPTS, RECIPIENTS)}
            return delete(REJECTS, DELIVERIES) + rows.drop(archived)
        # Recipients last: attempts refer to them.
        return delete(ATTEMPTS, REJECTS, DELIVERIES, RECIPIENTS)
    except UnarchivedAttemptsError:
        raise HousekeepingError(
            f"attempts of campaign number {campaign_id} were recorded after it was archived: its"
            " recipients stay in the database. Please report this"
        ) from None


def _delete(
    rows: ArchiveRows, part: ArchivePart, folder: Path, goes_on: GoesOn, chunk_rows: int
) -> int:
    deleted = 0
    for keys in _keys(folder / part.file, part.key, chunk_rows):
        deleted += rows.delete(part, keys)
        goes_on()
    return deleted


def _number(path: Path) -> int:
    return int(parquet.read_metadata(path).num_rows)


def _keys(path: Path, key: str, chunk_rows: int) -> Iterator[list[int]]:
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(chunk_rows, columns=[key]):
            yield batch.column(0).to_pylist()
