"""Everybody's fate as a file: CSV, or Parquet by the file's name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa

from mailsluice.core.status import RecipientStatus
from mailsluice.core.table_file import MOMENT, WrittenTable, check_path, moments, write_tables
from mailsluice.message import message_ids
from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.store import Campaigns, Database
from mailsluice.store.fates import REJECT_COLUMNS, Fate, Fates, Reject

_FATES = pa.schema(
    {
        "email": pa.string(),
        "connection": pa.string(),
        "reassigned_from": pa.string(),
        "status": pa.string(),
        "attempts": pa.int16(),
        "code": pa.int16(),
        "reply": pa.string(),
        "settled_at": MOMENT,
        "next_attempt_at": MOMENT,
        "message_id": pa.string(),
    }
)
_REJECTS = pa.schema(
    {"row": pa.int64(), "email": pa.string(), "reason": pa.string(), "detail": pa.string()}
)


class Contents(StrEnum):
    """What an export lists."""

    RECIPIENTS = "recipients"
    """Every recipient, with what became of it."""
    REJECTS = "rejects"
    """The rows of the source that are not in the audience, and why."""


def export(
    database: Database,
    name: str,
    path: Path,
    *,
    contents: Contents = Contents.RECIPIENTS,
    statuses: Collection[RecipientStatus] = (),
    overwrite: bool = False,
) -> WrittenTable:
    """Write a campaign's recipients in these states (in all, where none is named) into a file.

    Columns: email, connection, reassigned_from, status, attempts, code, reply, settled_at,
    next_attempt_at, message_id; those of rejects: row, email, reason, detail. Moments are in UTC:
    timestamps in Parquet, ISO 8601 in CSV. A few thousand rows are in memory at a time, and the
    file has its name only when it is complete.

    Raises OutboxError where there is no such campaign, LedgerError where it is archived,
    TableFileError where the file cannot be written: see `check_path` and `write_tables`.
    """
    path = check_path(path, overwrite)
    record = Campaigns(database).get(name)
    refuse_archived(database, name)
    fates = Fates(database, record.id)
    if contents is Contents.REJECTS:
        return write_tables(path, _REJECTS, _rejects(fates))
    identify = message_ids(record.name, record.sender_domain or "", record.return_key)
    return write_tables(path, _FATES, _recipients(fates, statuses, identify))


def _recipients(
    fates: Fates, statuses: Collection[RecipientStatus], identify: Callable[[str], str]
) -> Iterator[pa.Table]:
    for rows in fates.recipients(statuses):
        _, email, *texts, settled, following = _columns(rows)
        times = (moments(times_) for times_ in (settled, following))
        columns = [email, *texts, *times, [identify(address) for address in email]]
        yield pa.table(dict(zip(_FATES.names, columns, strict=True)), schema=_FATES)


def _rejects(fates: Fates) -> Iterator[pa.Table]:
    for rows in fates.rejects():
        yield pa.table(dict(zip(REJECT_COLUMNS, _columns(rows), strict=True)), schema=_REJECTS)


def _columns(rows: Sequence[Fate] | Sequence[Reject]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*rows, strict=True))
