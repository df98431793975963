"""The events of providers, with what else is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.message_log.logs import EventPlace
from mailsluice.store.message_log.visible import EVENT_LAG_SECONDS
from mailsluice.store.schema import bounces, deliveries, events

CHUNK_ROWS = 5_000
_READ_AGAIN_SECONDS = 86_400.0
"""The time for which events are read again when the database's clock was set back."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One row of `events` whose recipient is known.

    The words of the event are those of the delivery or of the report that it has led to; empty
    where later events have replaced them.
    """

    connection: str
    key: str
    state: str
    at: float
    received_at: float
    recipient_id: int
    failure: str
    status: str
    reply: str


def read_events(
    database: Database, after: EventPlace, bound: float
) -> tuple[list[LoggedEvent], EventPlace]:
    """Read the events after a place, received up to a moment; at most CHUNK_ROWS of them.

    Returns the events whose recipient is known, and the place of the last one.
    """
    with database.read() as connection:
        if bound < after.received_at:
            moment: float = connection.execute(sa.select(database.now)).scalar_one()
            if moment - EVENT_LAG_SECONDS < after.received_at:  # the clock was set back
                after = EventPlace(moment - _READ_AGAIN_SECONDS)
        rows: Sequence[Any] = connection.execute(_query(after, bound)).all()
    place = EventPlace(rows[-1].received_at, *rows[-1][:2]) if rows else after
    return [LoggedEvent(*row) for row in rows if row.recipient_id is not None], place


def _query(after: EventPlace, bound: float) -> sa.Select[Any]:
    columns = events.c
    order = (columns.received_at, columns.connection, columns.key)
    report_key = "event " + columns.connection + " " + columns.key
    return (
        sa.select(
            columns.connection,
            columns.key,
            columns.state,
            columns.at,
            columns.received_at,
            columns.recipient_id,
            _first(deliveries.c.failure, bounces.c.kind),
            _first(deliveries.c.status, bounces.c.status),
            _first(deliveries.c.reply, bounces.c.detail),
        )
        .outerjoin_from(
            events,
            deliveries,
            sa.and_(
                deliveries.c.recipient_id == columns.recipient_id,
                deliveries.c.state == columns.state,
                deliveries.c.at == columns.at,
            ),
        )
        .outerjoin(bounces, bounces.c.key == report_key)
        .where(
            columns.received_at >= after.received_at,
            columns.received_at <= bound,
            sa.or_(
                columns.received_at > after.received_at,
                sa.tuple_(columns.connection, columns.key)
                > sa.tuple_(sa.literal(after.connection), sa.literal(after.key)),
            ),
        )
        .order_by(*order)
        .limit(CHUNK_ROWS)
    )


def _first(*texts: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """The first of these texts that is known and not empty."""
    return sa.func.coalesce(*(sa.func.nullif(text, "") for text in texts), "")
