"""Deleting archived rows: those whose keys are in the archive's files, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyarrow import parquet

from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.writing import GoesOn
from mailsluice.store import Database
from mailsluice.store.archive_parts import ATTEMPTS, RECIPIENTS, REJECTS
from mailsluice.store.archive_rows import ArchiveRows, UnarchivedAttemptsError

CHUNK_ROWS = 2_000


def clear(
    database: Database,
    campaign_id: int,
    folder: Path,
    goes_on: GoesOn,
    chunk_rows: int = CHUNK_ROWS,
) -> int:
    """Delete an archived campaign's attempts, rejects and recipients. Returns how many rows.

    Each chunk is a transaction, so a run that sends meanwhile never waits for long, and a call
    after an interruption continues. Raises HousekeepingError when the database has attempts that
    are not in the files.
    """
    deleted = 0
    rows = ArchiveRows(database, campaign_id)
    for part in (ATTEMPTS, REJECTS, RECIPIENTS):  # recipients last: attempts refer to them
        for keys in _keys(folder / part.file, part.key, chunk_rows):
            try:
                deleted += rows.delete(part, keys)
            except UnarchivedAttemptsError:
                raise HousekeepingError(
                    f"attempts of campaign number {campaign_id} were recorded after it was"
                    " archived: its recipients stay in the database. Please report this"
                ) from None
            goes_on()
    return deleted


def _keys(path: Path, key: str, chunk_rows: int) -> Iterator[list[int]]:
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(chunk_rows, columns=[key]):
            yield batch.column(0).to_pylist()
