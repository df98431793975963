"""The rows of a campaign's archive: reading, counting and deleting them, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import BounceKind
from mailsluice.core.status import RecipientStatus
from mailsluice.store.archive_parts import ATTEMPTS, DELIVERIES, RECIPIENTS, ArchivePart
from mailsluice.store.bounces import ARRIVED
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.fates import Fates
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.schema import bounces, campaigns

CHUNK_ROWS = 20_000

Rows = Sequence[sa.Row[Any]]


class ArchiveRows:
    """The rows that the archive of one campaign consists of."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._tables = tables_of(database, campaign_id)

    @property
    def are_in_own_tables(self) -> bool:
        """Whether recipients and attempts are in tables of the campaign alone: see `drop`."""
        return self._tables.is_own

    def count(self, part: ArchivePart) -> int:
        """The number of the part's rows in the database."""
        with self._database.read() as connection:
            return self._count(connection, part)

    def _count(self, connection: sa.Connection, part: ArchivePart) -> int:
        query = sa.select(sa.func.count()).select_from(self._table(part)).where(self._mine(part))
        return int(connection.execute(query).scalar_one())

    def _table(self, part: ArchivePart) -> sa.Table:
        return self._tables.named(part.table)

    def _columns(self, part: ArchivePart) -> list[sa.Column[Any]]:
        return [self._table(part).c[column.name] for column in part.columns]

    def _mine(self, part: ArchivePart) -> sa.ColumnElement[bool]:
        """The condition that selects the campaign's rows."""
        table = self._table(part)
        if part is ATTEMPTS and self._tables.is_own:
            return sa.true()
        if part is ATTEMPTS:
            recipients = self._tables.recipients
            mine = sa.select(recipients.c.id).where(recipients.c.campaign_id == self._campaign_id)
            return table.c.recipient_id.in_(mine)
        column = table.c.id if part.table is campaigns else table.c.campaign_id
        return column == self._campaign_id

    def read(self, part: ArchivePart, chunk_rows: int = CHUNK_ROWS) -> Iterator[Rows]:
        """Read all columns of the part's rows, in the order of its key.

        A chunk is never empty, and has about `chunk_rows` rows at most.
        """
        if part in (RECIPIENTS, ATTEMPTS):
            yield from self._by_recipients(part, chunk_rows)
            return
        key = part.table.c[part.key]
        query = sa.select(*part.columns).where(self._mine(part)).order_by(key)
        if not part.is_paged:
            if rows := self._read(query):
                yield rows
            return
        after = 0
        while rows := self._read(query.where(key > after).limit(chunk_rows)):
            yield rows
            after = getattr(rows[-1], part.key)

    def _by_recipients(self, part: ArchivePart, chunk_rows: int) -> Iterator[Rows]:
        """Read by windows of the primary key of `recipients`, as `Fates.recipients` does."""
        recipients, attempts = self._tables.recipients, self._tables.attempts
        mine = recipients.c.campaign_id + 0 == self._campaign_id
        query: sa.Select[Any] = sa.select(*self._columns(part))
        if part is ATTEMPTS:
            query = query.join(recipients, recipients.c.id == attempts.c.recipient_id)
        ids = recipients.c.id
        for after, last in Fates(self._database, self._campaign_id).windows(chunk_rows):
            window = query.where(mine, ids > after, ids <= last)
            if rows := self._read(window.order_by(self._table(part).c.id)):
                yield rows

    def _read(self, query: sa.Select[Any]) -> Rows:
        with self._database.read() as connection:
            return connection.execute(query).all()

    def drop(self, archived: Mapping[ArchivePart, int]) -> int:
        """Drop the campaign's own tables, of which so many rows are archived. Returns how many.

        What deliveries say about earlier soft bounces is recorded first, in the same transaction.
        A statement of another process that reads the tables for longer than a second makes this
        fail, since others would queue behind both. Raises UnarchivedAttemptsError when the tables
        have other rows.
        """
        recipients, attempts = self._tables.recipients, self._tables.attempts
        with self._database.write() as transaction:
            transaction.exec_driver_sql("SET LOCAL lock_timeout = '900ms'")
            transaction.exec_driver_sql(
                f"LOCK TABLE {recipients.name}, {attempts.name} IN SHARE MODE"
            )
            if any(self._count(transaction, part) != rows for part, rows in archived.items()):
                raise UnarchivedAttemptsError
            transaction.execute(self._end_soft_bounces(self._mine(RECIPIENTS)))
            transaction.execute(sa.select(sa.func.mailsluice_drop_tables(self._campaign_id)))
        return sum(archived.values())

    def delete(self, part: ArchivePart, keys: Sequence[int]) -> int:
        """Delete the part's rows with these keys, in one transaction. Returns how many.

        What recipients and deliveries say about soft bounces is recorded first. Raises
        UnarchivedAttemptsError when recipients have attempts left.
        """
        given = sa.select(rows_in(self._database, {"key": sa.BigInteger()}).c.key)
        parameter = as_parameter((key,) for key in keys)
        table, attempts = self._table(part), self._tables.attempts
        delete = sa.delete(table).where(table.c[part.key].in_(given))
        if part is not ATTEMPTS:  # the campaign of an attempt is known by its recipient alone
            delete = delete.where(self._mine(part))
        with self._database.write() as transaction:
            if part is RECIPIENTS:
                left = sa.select(sa.func.count()).where(attempts.c.recipient_id.in_(given))
                if transaction.execute(left, parameter).scalar_one():
                    raise UnarchivedAttemptsError
                is_given = self._tables.recipients.c.id.in_(given)
                transaction.execute(self._end_soft_bounces(is_given), parameter)
            if part is DELIVERIES:
                transaction.execute(self._end_arrived(given), parameter)
            return transaction.execute(delete, parameter).rowcount

    def _end_arrived(self, given: sa.Select[Any]) -> sa.Update:
        """Stop counting the soft bounces of messages that arrived in the end."""
        return (
            sa.update(bounces)
            .where(
                bounces.c.campaign_id == self._campaign_id,
                bounces.c.kind == BounceKind.SOFT.value,
                bounces.c.recipient_id.in_(given),
                ARRIVED,
            )
            .values(counts=False)
        )

    def _end_soft_bounces(self, chosen: sa.ColumnElement[bool]) -> sa.Update:
        """Stop counting the soft bounces that came before a delivery to the chosen recipients.

        A delivery ends the series of soft bounces that suppresses an address, and
        `Bounces.suppress_soft` looks for the delivery in the rows that are about to be deleted.
        """
        recipients, compared = self._tables.recipients, self._tables.compared
        came_back = bounces.alias("came_back")
        delivered_later = sa.exists().where(
            chosen,
            recipients.c.campaign_id == self._campaign_id,
            recipients.c.status == RecipientStatus.SENT,
            compared == bounces.c.email,
            recipients.c.settled_at > bounces.c.at,
            ~sa.exists().where(
                came_back.c.email == compared,
                came_back.c.campaign_id == recipients.c.campaign_id,
                came_back.c.counts,  # else the message arrived in the end: see `_end_arrived`
            ),
        )
        emails: sa.Select[Any] = sa.select(compared).where(chosen)
        return (
            sa.update(bounces)
            .where(
                bounces.c.email.in_(emails),
                bounces.c.kind == "soft",
                bounces.c.counts,
                delivered_later,
            )
            .values(counts=False)
        )


class UnarchivedAttemptsError(Exception):
    """Attempts were recorded after their campaign was archived."""
