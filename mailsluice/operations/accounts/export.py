"""Exporting a campaign's recipients, or its rejected rows, into a CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mailsluice.core.status import RecipientStatus
from mailsluice.message import message_ids
from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.store import Campaigns, Database
from mailsluice.store.campaign_sources import CampaignSources
from mailsluice.store.fates import Fates

if TYPE_CHECKING:
    from mailsluice.core.table_file import WrittenTable


class Contents(StrEnum):
    """The rows of an export."""

    RECIPIENTS = "recipients"
    """Every recipient with its outcome."""
    REJECTS = "rejects"
    """Rows of the sources that are not in the audience, with the reason."""


def export(
    database: Database,
    name: str,
    path: Path,
    *,
    contents: Contents = Contents.RECIPIENTS,
    statuses: Collection[RecipientStatus] = (),
    overwrite: bool = False,
) -> WrittenTable:
    """Write a campaign's recipients or rejected rows into a file.

    Recipients have the columns email, connection, reassigned_from, status, attempts, code, reply,
    settled_at, next_attempt_at, mailbox_provider (who hosts the mailbox), message_id, reply_id
    (which the server's reply gives an accepted message), token (which a provider's events have),
    source, and moved_from, moved_at and move_reason (of the last move to another connection while
    the campaign was sent); rejected rows have row (1 is the first one of their source), email,
    reason, detail and source. In a campaign with one source, the column source is empty.
    Times are in UTC: timestamps in Parquet, ISO 8601 in CSV. The file gets its name when it is
    complete. Memory is bounded, whatever the number of rows.

    Args:
        database: The state database.
        name: The campaign's name.
        path: The file; its suffix decides between CSV and Parquet.
        contents: Which rows to write.
        statuses: Write recipients in these states alone; none given means all.
        overwrite: Whether to replace an existing file.

    Raises:
        OutboxError: There is no such campaign.
        LedgerError: The campaign is archived.
        TableFileError: The file cannot be written; see `check_path` and `write_tables`.
    """
    from mailsluice.core.table_file import check_path, write_tables  # loads pyarrow
    from mailsluice.operations.accounts import exported

    path = check_path(path, overwrite)
    record = Campaigns(database).get(name)
    refuse_archived(database, name)
    fates = Fates(database, record.id)
    if contents is Contents.REJECTS:
        sources = CampaignSources(database).of(record.id)
        return write_tables(path, exported.REJECTS, exported.rejects(fates, sources))
    identify = message_ids(record.name, record.sender_domain or "", record.return_key)
    return write_tables(path, exported.FATES, exported.recipients(fates, statuses, identify))
