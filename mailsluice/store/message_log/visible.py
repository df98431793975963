"""Bounds below which no further row can appear.

PostgreSQL gives out ids when rows are inserted, and shows the rows when their transactions commit.
So a row may appear below an id that was read before, and a cursor over ids would pass it by. Every
transaction that inserts holds a ROW EXCLUSIVE lock on the table, from before it takes an id until
after its commit. So this looks at the id that was given out last, and then at the transactions that
hold such a lock: once each of them has ended, every row up to that id is visible or will never be.
Nobody waits for this, and writers do nothing for it. CREATE INDEX CONCURRENTLY waits for writers by
the same rule.

SQLite commits one transaction that writes after the other, so its ids appear in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.store.database import Database
from mailsluice.store.schema import events

EVENT_LAG_SECONDS = 10.0
"""Events are read this long after they were received, so that a database's clock that is set back
by less hides none."""

_HOLDERS = sa.text(
    """
    SELECT DISTINCT pg_locks.virtualtransaction
    FROM pg_locks
    WHERE pg_locks.locktype = 'relation'
        AND pg_locks.mode = 'RowExclusiveLock'
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pg_locks.relation IN (
            SELECT CAST(:table AS regclass)
            UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = CAST(:table AS regclass)
        )
    """
)

Position = Callable[[sa.Connection], float]


class VisibleBound:
    """The highest place in a table below which all rows are visible, as far as known."""

    def __init__(self, database: Database, table: sa.Table, position: Position) -> None:
        self._database = database
        self._table = table.name
        self._position = position
        self._bound: float | None = None
        self._waits_for: tuple[float, frozenset[str]] | None = None
        """A place, and the transactions that may still show rows below it."""

    @property
    def is_waiting(self) -> bool:
        """Whether the last `advance` saw a transaction that may still show rows."""
        return self._waits_for is not None

    def advance(self) -> float | None:
        """Look again, and return the bound; None while there is none."""
        with self._database.read() as connection:
            position = self._position(connection)  # before the locks
            if position == self._bound:
                self._waits_for = None
                return position
            holders = self._holders(connection)
        if self._waits_for and not self._waits_for[1] & holders:
            self._bound, self._waits_for = self._waits_for[0], None
        if not holders:
            self._bound, self._waits_for = position, None
        elif self._waits_for is None:
            self._waits_for = position, holders
        return self._bound

    def _holders(self, connection: sa.Connection) -> frozenset[str]:
        if self._database.is_sqlite:
            return frozenset()
        return frozenset(connection.execute(_HOLDERS, {"table": self._table}).scalars())


def serial_bound(database: Database, table: sa.Table) -> VisibleBound:
    """The bound of the ids of a table whose rows are never given an id by hand."""
    highest: sa.Select[Any] = sa.select(sa.func.max(table.c.id))
    sequence = sa.cast(sa.func.pg_get_serial_sequence(table.name, "id"), _REGCLASS)
    given_last = sa.select(sa.func.pg_sequence_last_value(sequence))

    def position(connection: sa.Connection) -> int:
        found = connection.execute(highest if database.is_sqlite else given_last).scalar_one()
        if found is None and not database.is_sqlite:
            _refuse_unreadable(connection, table)
        return int(found or 0)

    return VisibleBound(database, table, position)


def _refuse_unreadable(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL hides the place of a sequence from roles without a right to it, without a word."""
    if connection.execute(sa.select(table.c.id).limit(1)).first() is not None:
        raise OutboxError(
            f"the database's role may not use the sequence of {table.name}, so the message log"
            f" cannot tell its place: GRANT USAGE ON ALL SEQUENCES IN SCHEMA public to that role"
        )


def event_bound(database: Database) -> VisibleBound:
    """The bound of `events.received_at`: the last event, or one some seconds ago."""
    newest = sa.select(sa.func.max(events.c.received_at), database.now - EVENT_LAG_SECONDS)

    def position(connection: sa.Connection) -> float:
        last, moment = connection.execute(newest).one()
        if database.is_sqlite and last and last > moment:
            # A transaction that is open has taken its time, and has yet to commit.
            with database.write() as transaction:
                last, moment = transaction.execute(newest).one()
        return float(min(last or 0.0, moment))

    return VisibleBound(database, events, position)


class _Regclass(sa.types.UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "regclass"


_REGCLASS = _Regclass()
