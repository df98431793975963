"""The list of suppressions as a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mailsluice.outbox import Database, Suppressions
from mailsluice.suppression.reason import Reason
from mailsluice.table_file import MOMENT, check_path, moments, write_tables

_SCHEMA = pa.schema(
    {"email": pa.string(), "reason": pa.string(), "source": pa.string(), "date": MOMENT}
)


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    rows: int
    bad_rows: Sequence[tuple[int, str]] = ()

    def summary(self) -> str:
        """One line: how many, where."""
        return f"{self.rows:,} addresses in {self.path}"

    def notes(self) -> list[str]:
        """Nothing besides."""
        return []


def export_suppressions(
    database: Database, path: Path, *, reasons: Collection[Reason] = (), overwrite: bool = False
) -> Exported:
    """Write the list, or what is on it for these reasons, into a CSV or Parquet file.

    Columns: email, reason, source, date (UTC); `import_suppressions` reads them back. Raises
    TableFileError where the file cannot be written.
    """
    path = check_path(path, overwrite)
    done = write_tables(path, _SCHEMA, _tables(Suppressions(database), reasons))
    return Exported(done.path, done.rows)


def _tables(suppressions: Suppressions, reasons: Collection[Reason]) -> Iterator[pa.Table]:
    for rows in suppressions.rows(reasons):
        *texts, at = zip(*rows, strict=True)
        yield pa.table(dict(zip(_SCHEMA.names, [*texts, moments(at)], strict=True)), schema=_SCHEMA)
