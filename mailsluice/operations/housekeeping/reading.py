"""A campaign's rows, some thousand at a time, in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.operations.housekeeping.parts import ATTEMPTS, RECIPIENTS, ArchivePart
from mailsluice.store import Database
from mailsluice.store.fates import Fates
from mailsluice.store.schema import attempts, recipients

CHUNK_ROWS = 20_000

Rows = Sequence[sa.Row[Any]]


def rows_of(
    database: Database, part: ArchivePart, campaign_id: int, chunk_rows: int = CHUNK_ROWS
) -> Iterator[Rows]:
    """All columns of the part's rows; at most about `chunk_rows` at a time, never none."""
    if part in (RECIPIENTS, ATTEMPTS):
        yield from _by_recipients(database, part, campaign_id, chunk_rows)
        return
    query = sa.select(*part.columns).where(part.of(campaign_id)).order_by(part.table.c[part.key])
    if not part.is_paged:
        if rows := _read(database, query):
            yield rows
        return
    key = part.table.c[part.key]
    after = 0
    while rows := _read(database, query.where(key > after).limit(chunk_rows)):
        yield rows
        after = getattr(rows[-1], part.key)


def _by_recipients(
    database: Database, part: ArchivePart, campaign_id: int, chunk_rows: int
) -> Iterator[Rows]:
    """By windows of the primary key of `recipients`: see `Fates`."""
    # The sum keeps planners from the index on the campaign, and from sorting it for every chunk.
    mine = recipients.c.campaign_id + 0 == campaign_id
    query: sa.Select[Any] = sa.select(*part.columns)
    if part is ATTEMPTS:
        query = query.join(recipients, recipients.c.id == attempts.c.recipient_id)
    ids = recipients.c.id
    for after, last in Fates(database, campaign_id).windows(chunk_rows):
        window = query.where(mine, ids > after, ids <= last)
        if rows := _read(database, window.order_by(part.table.c.id)):
            yield rows


def _read(database: Database, query: sa.Select[Any]) -> Rows:
    with database.read() as connection:
        return connection.execute(query).all()
