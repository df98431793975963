"""Everybody's fate as a file: CSV, or Parquet by the file's name."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mailsluice.core.status import RecipientStatus
from mailsluice.message import message_ids
from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.store import Campaigns, Database
from mailsluice.store.fates import Fates

if TYPE_CHECKING:
    from mailsluice.core.table_file import WrittenTable


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
    from mailsluice.core.table_file import check_path, write_tables  # pyarrow: for an export alone
    from mailsluice.operations.accounts import exported

    path = check_path(path, overwrite)
    record = Campaigns(database).get(name)
    refuse_archived(database, name)
    fates = Fates(database, record.id)
    if contents is Contents.REJECTS:
        return write_tables(path, exported.REJECTS, exported.rejects(fates))
    identify = message_ids(record.name, record.sender_domain or "", record.return_key)
    return write_tables(path, exported.FATES, exported.recipients(fates, statuses, identify))
