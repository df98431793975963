"""Everybody's fate as a file: CSV, or Parquet by the file's name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyarrow import csv, parquet

from mailsluice.ledger.errors import LedgerError
from mailsluice.ledger.stored import stored_content
from mailsluice.message import ascii_domain, message_ids
from mailsluice.outbox import Campaigns, Database
from mailsluice.outbox.fates import REJECT_COLUMNS, Fates
from mailsluice.status import RecipientStatus

_MOMENT = pa.timestamp("ms", tz="UTC")
_FATES = pa.schema(
    {
        "email": pa.string(),
        "connection": pa.string(),
        "reassigned_from": pa.string(),
        "status": pa.string(),
        "attempts": pa.int16(),
        "code": pa.int16(),
        "reply": pa.string(),
        "settled_at": _MOMENT,
        "next_attempt_at": _MOMENT,
        "message_id": pa.string(),
    }
)
_REJECTS = pa.schema(
    {"row": pa.int64(), "email": pa.string(), "reason": pa.string(), "detail": pa.string()}
)
_WRITERS = {".csv": csv.CSVWriter, ".parquet": parquet.ParquetWriter, ".pq": parquet.ParquetWriter}


class Contents(StrEnum):
    """What an export lists."""

    RECIPIENTS = "recipients"
    """Every recipient, with what became of it."""
    REJECTS = "rejects"
    """The rows of the source that are not in the audience, and why."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    rows: int


def export(
    database: Database,
    name: str,
    path: Path,
    *,
    contents: Contents = Contents.RECIPIENTS,
    statuses: Collection[RecipientStatus] = (),
    overwrite: bool = False,
) -> Exported:
    """Write a campaign's recipients in these states (in all, where none is named) into a file.

    Columns: email, connection, reassigned_from, status, attempts, code, reply, settled_at,
    next_attempt_at, message_id; those of rejects: row, email, reason, detail. Moments are in UTC:
    timestamps in Parquet, ISO 8601 in CSV. A few thousand rows are in memory at a time, and the
    file has its name only when it is complete.

    Raises LedgerError where there is no such campaign, the file exists (unless `overwrite`), its
    name ends in neither .csv nor .parquet, or it cannot be written.
    """
    _check(path, overwrite)
    content = stored_content(database, name)
    fates = Fates(database, Campaigns(database).get(name).id)
    if contents is Contents.REJECTS:
        return _write(path, _REJECTS, _rejects(fates))
    identify = _identifier(name, content["message"]["sender"])
    return _write(path, _FATES, _recipients(fates, statuses, identify))


def _check(path: Path, overwrite: bool) -> None:
    if path.suffix.lower() not in _WRITERS:
        raise LedgerError(f"{path}: the name has to end in .csv or .parquet, which says the format")
    if path.exists() and not overwrite:
        raise LedgerError(f"{path} exists: choose another name, or allow to overwrite it")


def _identifier(campaign: str, sender: str) -> Callable[[str], str]:
    """Address to Message-ID, as `mailsluice.message` writes it."""
    return message_ids(campaign, ascii_domain(sender))


def _recipients(
    fates: Fates, statuses: Collection[RecipientStatus], identify: Callable[[str], str]
) -> Iterator[pa.Table]:
    for rows in fates.recipients(statuses):
        _, email, *texts, settled, following = _columns(rows)
        moments = (_moments(one) for one in (settled, following))
        columns = [email, *texts, *moments, [identify(one) for one in email]]
        yield pa.table(dict(zip(_FATES.names, columns, strict=True)), schema=_FATES)


def _rejects(fates: Fates) -> Iterator[pa.Table]:
    for rows in fates.rejects():
        yield pa.table(dict(zip(REJECT_COLUMNS, _columns(rows), strict=True)), schema=_REJECTS)


def _columns(rows: Sequence[sa.Row[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*rows, strict=True))


def _moments(seconds: Sequence[float | None]) -> pa.Array:
    values = pc.multiply(pa.array(seconds, pa.float64()), 1_000.0)
    return pc.round(values).cast(pa.int64()).cast(_MOMENT)


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> Exported:
    is_csv = path.suffix.lower() == ".csv"
    shown = _as_text(schema.empty_table()).schema if is_csv else schema
    unfinished = path.with_name(f".{path.name}.unfinished")
    rows = 0
    try:
        try:
            with closing(_WRITERS[path.suffix.lower()](str(unfinished), shown)) as writer:
                for table in tables:
                    writer.write_table(_as_text(table) if is_csv else table)
                    rows += table.num_rows
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be written ({error.strerror or error}): give the path of a file in a "
            "folder that exists where the worker runs, with room on its disk"
        ) from error
    return Exported(path, rows)


def _as_text(table: pa.Table) -> pa.Table:
    """The table with its moments in ISO 8601, for CSV."""
    for i, field in enumerate(table.schema):
        if field.type == _MOMENT:
            text = pc.strftime(table.column(i), format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(i, field.name, text)
    return table
