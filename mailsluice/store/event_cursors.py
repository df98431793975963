"""How far the events of connections have been fetched from their providers.

A run that finds a window that another one has moved a moment ago leaves it to that one. And a row
changes only if nobody has changed it since it was read: of two runs that fetch the same events all
the same, one goes on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from mailsluice.events.pulled.windows import Cursor, Window
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns, event_cursors, routes

BUSY_SECONDS = 300.0
"""A window that has not moved for this long is nobody's: its run was killed."""


class StoredCursor(NamedTuple):
    """A cursor as it was read."""

    cursor: Cursor
    revision: int
    """The number of its changes."""
    is_busy: bool = False
    """Whether another run fetches the window."""


class EventCursors:
    """The table `event_cursors`: one row for each connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, connection: str, account: str) -> StoredCursor:
        """The cursor of a connection; a new one if another account was asked before."""
        table = event_cursors.c
        is_recent = table.updated_at > self._database.now - BUSY_SECONDS
        query = sa.select(event_cursors, is_recent.label("is_recent")).where(
            table.connection == connection
        )
        with self._database.read() as reader:
            row = reader.execute(query).one_or_none()
        if row is None:
            return StoredCursor(Cursor(account), 0)
        if row.account != account:
            return StoredCursor(Cursor(account), row.revision)
        window = None if row.since is None else Window(row.since, row.until)
        cursor = Cursor(account, row.settled_at, window, row.page)
        return StoredCursor(cursor, row.revision, bool(window and row.is_recent))

    def save(self, connection: str, stored: StoredCursor, cursor: Cursor) -> StoredCursor | None:
        """Replace what was read. Returns None if another run has changed it since."""
        window = cursor.window
        values: dict[str, Any] = {
            "account": cursor.account,
            "settled_at": cursor.settled_at,
            "since": window.since if window else None,
            "until": window.until if window else None,
            "page": cursor.page,
            "revision": stored.revision + 1,
            "updated_at": self._database.now,
        }
        change: sa.Insert | sa.Update
        if stored.revision:
            change = (
                sa.update(event_cursors)
                .where(
                    event_cursors.c.connection == connection,
                    event_cursors.c.revision == stored.revision,
                )
                .values(values)
            )
        else:
            change = self._database.insert_ignoring(event_cursors).values(
                connection=connection, **values
            )
        with self._database.write() as transaction:
            is_changed = transaction.execute(change.returning(event_cursors.c.revision)).all()
        return StoredCursor(cursor, stored.revision + 1) if is_changed else None

    def release(self, connection: str, stored: StoredCursor) -> None:
        """Leave an open window to the next run."""
        table = event_cursors.c
        is_own = sa.and_(table.connection == connection, table.revision == stored.revision)
        with self._database.write() as transaction:
            transaction.execute(sa.update(event_cursors).where(is_own).values(updated_at=0.0))

    def first_launch(self, connection: str) -> float | None:
        """When the first campaign over this connection was launched; None if there is none."""
        query = (
            sa.select(sa.func.min(campaigns.c.created_at))
            .join_from(routes, campaigns, campaigns.c.id == routes.c.campaign_id)
            .where(routes.c.connection == connection)
        )
        with self._database.read() as reader:
            first: float | None = reader.execute(query).scalar_one()
        return first
