"""The place that each message log has reached."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from mailsluice.core.errors import MailsluiceError
from mailsluice.store.database import Database
from mailsluice.store.schema import message_logs

_KEY_OCTETS = 32


class MessageLogBusyError(MailsluiceError):
    """Another process has moved the log's place."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another process writes the message log {name!r} at the same time: leave it to one of"
            " them, or give the other one a log of its own by another name"
        )


class RowPlace(NamedTuple):
    """The last row that was read from a table with ids."""

    id: int = 0
    at: float = 0.0
    """The row's time, which tells it from a later row with the same id (SQLite)."""
    floor: float = 0.0
    """The lowest time of further rows that are wanted."""


class EventPlace(NamedTuple):
    """The last event that was read; `received_at`, then `connection` and `key`, order events."""

    received_at: float = 0.0
    connection: str = ""
    key: str = ""


_FIRST, _BEFORE_ALL = RowPlace(), EventPlace()


@dataclass(frozen=True, slots=True)
class Cursors:
    """How far a log has read the tables whose rows do not change."""

    attempts: RowPlace = _FIRST
    reports: RowPlace = _FIRST
    events: EventPlace = _BEFORE_ALL

    def as_json(self) -> str:
        """The text that `parse` reads."""
        places = {"attempts": self.attempts, "reports": self.reports, "events": self.events}
        return orjson.dumps({name: list(place) for name, place in places.items()}).decode()

    @classmethod
    def parse(cls, text: str) -> Cursors:
        """Read what `as_json` has written."""
        places: Mapping[str, Any] = orjson.loads(text)
        return cls(
            RowPlace(*places.get("attempts", ())),
            RowPlace(*places.get("reports", ())),
            EventPlace(*places.get("events", ())),
        )


@dataclass(frozen=True, slots=True)
class LogState:
    """A message log as stored."""

    name: str
    address_key: str = field(repr=False)
    """The secret behind hashed addresses; the same for all logs of a database."""
    since: float
    """Facts that are older than this are not in the log, in seconds since the epoch."""
    cursors: Cursors
    revision: int
    """The number of changes of the log's rows."""


class MessageLogs:
    """The table `message_logs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, name: str, since: float | None = None) -> LogState:
        """The log of this name; a new one begins at `since`, or now.

        Raises MailsluiceError if the log exists and begins at another moment.
        """
        key = sa.select(message_logs.c.address_key).limit(1).scalar_subquery()
        insert = self._database.insert_ignoring(message_logs).values(
            name=name,
            address_key=sa.func.coalesce(key, secrets.token_hex(_KEY_OCTETS)),
            since=self._database.now if since is None else since,
            cursors=Cursors().as_json(),
            revision=1,
            updated_at=self._database.now,
        )
        query = sa.select(message_logs).where(message_logs.c.name == name)
        with self._database.write() as transaction:
            transaction.execute(insert)
            row = transaction.execute(query).one()
        if since is not None and row.since != since:
            raise MailsluiceError(
                f"the message log {name!r} exists and begins at another moment: leave `since` out"
                " to continue it, or give a new log another name"
            )
        cursors = Cursors.parse(row.cursors)
        return LogState(name, row.address_key, row.since, cursors, row.revision)

    def save(
        self,
        state: LogState,
        cursors: Cursors,
        more: Callable[[sa.Connection], None] = lambda _: None,
    ) -> LogState:
        """Move the log's place; `more` writes the rest in the same transaction.

        Raises MessageLogBusyError if another process has moved it since it was read.
        """
        update = (
            sa.update(message_logs)
            .where(message_logs.c.name == state.name, message_logs.c.revision == state.revision)
            .values(
                cursors=cursors.as_json(),
                revision=state.revision + 1,
                updated_at=self._database.now,
            )
        )
        with self._database.write() as transaction:
            if not transaction.execute(update).rowcount:
                raise MessageLogBusyError(state.name)
            more(transaction)
        return replace(state, cursors=cursors, revision=state.revision + 1)
