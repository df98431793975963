"""Write tables to a file, in CSV or Parquet by the ending of the file's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.files import FileError, writable
from mailsluice.core.private import private_file
from mailsluice.core.spreadsheet import as_text

MOMENT = pa.timestamp("ms", tz="UTC")
_WRITERS = {".csv": csv.CSVWriter, ".parquet": parquet.ParquetWriter, ".pq": parquet.ParquetWriter}


class TableFileError(MailsluiceError):
    """The file cannot be written."""


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A file that was written."""

    path: Path
    rows: int


def check_path(path: Path, overwrite: bool) -> Path:
    """Return the real path of a file to be written, with every link followed.

    Raises:
        TableFileError: The name has no known ending, Mailsluice may not write there (see
            `mailsluice.core.files`), or the file exists and `overwrite` is false.
    """
    if path.suffix.lower() not in _WRITERS:
        raise TableFileError(
            f"{path}: the name has to end in .csv or .parquet, which says the format"
        )
    try:
        real = writable(path)
    except FileError as error:
        raise TableFileError(f"{path} cannot be written: {error}") from None
    if real.exists() and not overwrite:
        raise TableFileError(f"{path} exists: choose another name, or allow overwriting")
    return real


def moments(seconds: Sequence[float | None]) -> pa.Array:
    """Return seconds since the epoch (n,) as a column of moments."""
    values = pc.multiply(pa.array(seconds, pa.float64()), 1_000.0)
    return pc.round(values).cast(pa.int64()).cast(MOMENT)


def write_tables(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> WrittenTable:
    """Write tables one after the other; the file gets its name when it is complete.

    In CSV, moments are in ISO 8601, and each cell that a spreadsheet would run has an apostrophe
    before it (see `mailsluice.core.spreadsheet`).

    Raises:
        TableFileError: The file cannot be written.
    """
    is_csv = path.suffix.lower() == ".csv"
    shown = _as_text(schema.empty_table()).schema if is_csv else schema
    unfinished = path.with_name(f".{path.name}.unfinished")
    rows = 0
    try:
        try:
            unfinished.unlink(missing_ok=True)  # left by a process that died, or by anybody else
            private_file(unfinished)
            with closing(_WRITERS[path.suffix.lower()](str(unfinished), shown)) as writer:
                for table in tables:
                    writer.write_table(_as_text(table) if is_csv else table)
                    rows += table.num_rows
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise TableFileError(
            f"{path} cannot be written ({error.strerror or error}): give a path in a folder that "
            "exists on the worker's machine, on a disk with free space"
        ) from error
    return WrittenTable(path, rows)


def _as_text(table: pa.Table) -> pa.Table:
    """Return the table for CSV: moments in ISO 8601, and no cell that a spreadsheet would run."""
    for i, field in enumerate(table.schema):
        if field.type == MOMENT:
            text = pc.strftime(table.column(i), format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(i, field.name, text)
        elif pa.types.is_string(field.type):
            table = table.set_column(i, field.name, as_text(table.column(i)))
    return table
