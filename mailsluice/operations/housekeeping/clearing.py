"""Deleting what is in an archive: the rows whose keys are in its files, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pyarrow import parquet

from mailsluice.core.status import RecipientStatus
from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.parts import ATTEMPTS, RECIPIENTS, REJECTS, ArchivePart
from mailsluice.operations.housekeeping.writing import GoesOn
from mailsluice.store import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.schema import attempts, bounces, compared, recipients

CHUNK_ROWS = 2_000


def clear(
    database: Database,
    campaign_id: int,
    folder: Path,
    goes_on: GoesOn,
    chunk_rows: int = CHUNK_ROWS,
) -> int:
    """Delete an archived campaign's attempts, rejects and recipients. Gives how many rows.

    Each chunk is a transaction of its own, so nobody who sends waits for long; doing it again after
    a kill goes on. Raises HousekeepingError where there are rows that are not in the files.
    """
    deleted = 0
    for part in (ATTEMPTS, REJECTS, RECIPIENTS):  # what refers to a recipient goes before it
        for keys in _keys(folder / part.file, part.key, chunk_rows):
            with database.write() as transaction:
                if part is RECIPIENTS:
                    _prepare(database, transaction, campaign_id, keys)
                deleted += transaction.execute(
                    _delete(database, part, campaign_id), as_parameter((one,) for one in keys)
                ).rowcount
            goes_on()
    return deleted


def _keys(path: Path, key: str, chunk_rows: int) -> Iterator[list[int]]:
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(chunk_rows, columns=[key]):
            yield batch.column(0).to_pylist()


def _delete(database: Database, part: ArchivePart, campaign_id: int) -> sa.Delete:
    given = sa.select(rows_in(database, {"key": sa.BigInteger()}).c.key)
    statement = sa.delete(part.table).where(part.table.c[part.key].in_(given))
    # An attempt's id says enough: whose it is would have to be asked of its recipient.
    return statement if part is ATTEMPTS else statement.where(part.of(campaign_id))


def _prepare(
    database: Database, transaction: sa.Connection, campaign_id: int, ids: list[int]
) -> None:
    """What these recipients tell about others is kept, and nothing of theirs goes unseen."""
    given = sa.select(rows_in(database, {"key": sa.BigInteger()}).c.key)
    parameter = as_parameter((one,) for one in ids)
    unseen = sa.select(sa.func.count()).where(attempts.c.recipient_id.in_(given))
    if transaction.execute(unseen, parameter).scalar_one():
        raise HousekeepingError(
            f"attempts of campaign number {campaign_id} were recorded after it was archived: its"
            " recipients stay in the database. Please report this"
        )
    transaction.execute(_forget_soft(campaign_id, given), parameter)


def _forget_soft(campaign_id: int, ids: sa.Select[Any]) -> sa.Update:
    """Soft bounces before a message that was delivered count no more: it ended their row.

    The row of a delivered message is what `Bounces.suppress_soft` would look for.
    """
    came_back = bounces.alias("came_back")
    delivered = sa.exists().where(
        recipients.c.id.in_(ids),
        recipients.c.campaign_id == campaign_id,
        recipients.c.status == RecipientStatus.SENT,
        compared == bounces.c.email,
        recipients.c.settled_at > bounces.c.at,
        ~sa.exists().where(
            came_back.c.email == compared,
            came_back.c.campaign_id == recipients.c.campaign_id,
        ),
    )
    mine: sa.Select[Any] = sa.select(compared).where(recipients.c.id.in_(ids))
    return (
        sa.update(bounces)
        .where(bounces.c.email.in_(mine), bounces.c.kind == "soft", bounces.c.counts, delivered)
        .values(counts=False)
    )
