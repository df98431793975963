"""Checking an archive by reading it back, before its rows are deleted from the database."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pyarrow import parquet

from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.manifest import Manifest, sha256
from mailsluice.store import Database
from mailsluice.store.archive_parts import PARTS, RECIPIENTS
from mailsluice.store.archive_rows import ArchiveRows

_BATCH_ROWS = 50_000


def verify_written(database: Database, folder: Path, manifest: Manifest) -> None:
    """Read a new archive back, and compare it with its manifest and with the database.

    Raises HousekeepingError when they differ; nothing may be deleted then. The caller holds the
    campaign's lease, so no process writes to the campaign meanwhile.
    """
    rows = ArchiveRows(database, manifest.campaign_id)
    for part in PARTS:
        read = _rows(folder / part.file)
        stored = rows.count(part)
        if not read == stored == manifest.files[part.file].rows:
            raise _differs(manifest, f"{part.name}: {read:,} rows read back of {stored:,} stored")
    if (read_back := _counts(folder)) != manifest.counts:
        raise _differs(manifest, f"recipients by connection and status: {read_back} read back")


def verify_kept(folder: Path, campaign_id: int, digest: str) -> Manifest:
    """Check that an archive is unchanged since it was recorded. Returns its manifest.

    Raises HousekeepingError when a file is missing or differs.
    """
    try:
        manifest, present = Manifest.read(folder)
        same = present == digest and manifest.campaign_id == campaign_id
        changed = [
            name for name, file in manifest.files.items() if sha256(folder / name) != file.sha256
        ]
    except (OSError, ValueError) as error:
        raise HousekeepingError(
            f"the archive in {folder} cannot be read ({error}): the rows that are still in the"
            " database stay there. Run housekeeping on the machine with the folder, or restore it"
        ) from error
    if not same or changed:
        raise HousekeepingError(
            f"the archive in {folder} has changed"
            f" ({', '.join(changed) or 'manifest.json'}): the rows that are still in the database"
            " stay there. Restore the files from a copy"
        )
    return manifest


def _rows(path: Path) -> int:
    """Count a file's rows, decoding every value to find damage."""
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        return sum(batch.num_rows for batch in file.iter_batches(_BATCH_ROWS))


def _counts(folder: Path) -> dict[str, dict[str, int]]:
    counter: Counter[tuple[str, str]] = Counter()
    with parquet.ParquetFile(folder / RECIPIENTS.file) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=["connection", "status"]):
            counter.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    counts: dict[str, dict[str, int]] = {}
    for (connection, status), number in counter.items():
        counts.setdefault(connection, {})[status] = number
    return counts


def _differs(manifest: Manifest, what: str) -> HousekeepingError:
    return HousekeepingError(
        f"the archive of campaign {manifest.campaign!r} differs from the database ({what}): nothing"
        " was deleted. Check the disk, and run housekeeping again, which writes a new archive"
    )
