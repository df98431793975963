"""Exporting the suppression list into a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.core.table_file import MOMENT, check_path, moments, write_tables
from mailsluice.store import Database, Suppressions

_SCHEMA = pa.schema(
    {"email": pa.string(), "reason": pa.string(), "source": pa.string(), "date": MOMENT}
)


@dataclass(frozen=True, slots=True)
class ExportedSuppressions:
    """The result of an export."""

    path: Path
    rows: int
    bad_rows: Sequence[tuple[int, str]] = ()

    def summary(self) -> str:
        """One line with the number and the file."""
        return f"{self.rows:,} addresses in {self.path}"

    def notes(self) -> list[str]:
        """No notes."""
        return []


def export_suppressions(
    database: Database,
    path: Path,
    *,
    reasons: Collection[SuppressionReason] = (),
    overwrite: bool = False,
) -> ExportedSuppressions:
    """Write the list, or its entries for these reasons, into a CSV or Parquet file.

    The columns are email, reason, source and date (UTC), as `import_suppressions` reads them. The
    date is empty if no calendar has the stored one.
    Raises TableFileError when the file cannot be written.
    """
    path = check_path(path, overwrite)
    done = write_tables(path, _SCHEMA, _tables(Suppressions(database), reasons))
    return ExportedSuppressions(done.path, done.rows)


def _tables(
    suppressions: Suppressions, reasons: Collection[SuppressionReason]
) -> Iterator[pa.Table]:
    for rows in suppressions.rows(reasons):
        *texts, _ = zip(*rows, strict=True)
        dates = moments([row.moment for row in rows])
        yield pa.table(dict(zip(_SCHEMA.names, [*texts, dates], strict=True)), schema=_SCHEMA)
