"""Writing an archive, under a temporary name until all of it is on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from slugify import slugify

from mailsluice.core.private import private_file
from mailsluice.operations.housekeeping.manifest import Manifest, PartFile, sha256
from mailsluice.store import Database, Outbox
from mailsluice.store.archive_parts import PARTS, ArchivePart
from mailsluice.store.archive_rows import ArchiveRows, Rows
from mailsluice.store.campaign_age import CampaignAge

_LONGEST_SLUG = 60
_OPTIONS: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}

GoesOn = Callable[[], None]
"""Called between two pieces of work; raises to stop the work."""


def write(
    database: Database, campaign: CampaignAge, archives: Path, goes_on: GoesOn
) -> tuple[Path, Manifest, str]:
    """Write a campaign's rows into a new folder under `archives`.

    An unfinished folder of a killed run is replaced. Memory is bounded, whatever the number of
    rows. Returns the folder, its manifest and the manifest's digest. Raises OSError.
    """
    folder = _free(archives, campaign)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    try:
        files = {
            part.file: _write_part(database, part, campaign.id, unfinished, goes_on)
            for part in PARTS
        }
        counts = {
            name: {status.value: number for status, number in by_status.items()}
            for name, by_status in Outbox(database, campaign.id).counts().by_connection.items()
        }
        manifest = Manifest(campaign.id, campaign.name, campaign.created_at, counts, files)
        digest = manifest.write(unfinished)
        for path in (*unfinished.iterdir(), unfinished):
            _sync(path)
        unfinished.rename(folder)
        _sync(archives)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder, manifest, digest


def _free(archives: Path, campaign: CampaignAge) -> Path:
    """An unused folder: archives of other databases and of killed runs may have the same name."""
    slug = slugify(campaign.name, max_length=_LONGEST_SLUG) or "campaign"
    number = 1
    while (folder := archives / f"{campaign.id}-{slug}{f'-{number}' * (number > 1)}").exists():
        number += 1
    return folder


def _write_part(
    database: Database, part: ArchivePart, campaign_id: int, folder: Path, goes_on: GoesOn
) -> PartFile:
    path, rows = folder / part.file, 0
    private_file(path)
    with parquet.ParquetWriter(path, part.schema, **_OPTIONS) as writer:
        for chunk in ArchiveRows(database, campaign_id).read(part):
            goes_on()
            writer.write_table(_table(part, chunk))
            rows += len(chunk)
    return PartFile(rows, sha256(path))


def _table(part: ArchivePart, rows: Rows) -> pa.Table:
    columns = dict(zip(part.schema.names, zip(*rows, strict=True), strict=True))
    return pa.table(columns, schema=part.schema)


def _sync(path: Path) -> None:
    """Write the file or folder to the disk, since the rows are deleted next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
