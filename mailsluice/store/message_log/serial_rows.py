"""Rows that are inserted once and have ids: failed attempts, and reports about returned mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mailsluice.store.campaign_tables import tables_with
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.message_log.logs import RowPlace
from mailsluice.store.schema import attempts, bounces

CHUNK_ROWS = 5_000
_CLOCKS_DIFFER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """One row of `attempts`."""

    id: int
    recipient_id: int
    at: float
    connection: str
    phase: str
    verdict: str
    code: int | None
    reply: str
    number: int = 0
    """How many attempts of the recipient are recorded so far, this one included."""


@dataclass(frozen=True, slots=True)
class LoggedReport:
    """One row of `bounces` that a mailbox has received."""

    id: int
    at: float
    key: str
    email: str
    """Folded."""
    kind: str
    status: str
    detail: str
    source: str
    connection: str | None
    campaign_id: int | None
    recipient_id: int | None


def read_attempts(
    database: Database, after: RowPlace, bound: float
) -> tuple[list[LoggedAttempt], RowPlace]:
    """Read the attempts after a place, up to an id; at most CHUNK_ROWS of them.

    Returns the attempts, and the place of the last one.
    """
    names = ("id", "recipient_id", "at", "connection", "phase", "verdict", "code", "reply")
    rows, place = _read(database, attempts, names, after, bound)
    numbers = _numbers(database, rows)
    numbered = [(*row, numbers.get(row.id, 0)) for row in rows]
    return [LoggedAttempt(*fields) for fields in numbered], place


def read_reports(
    database: Database, after: RowPlace, bound: float
) -> tuple[list[LoggedReport], RowPlace]:
    """Read the reports of mailboxes after a place, as `read_attempts` does.

    Refusals in the dialogue and events of providers, which `bounces` has as well, are left out:
    logs read them where they happen.
    """
    names = tuple(LoggedReport.__dataclass_fields__)
    rows, place = _read(database, bounces, names, after, bound)
    reports = (LoggedReport(*row) for row in rows)
    return [report for report in reports if not report.key.startswith(("smtp:", "event "))], place


def _read(
    database: Database, table: sa.Table, names: Sequence[str], after: RowPlace, bound: float
) -> tuple[list[Any], RowPlace]:
    after = _surely(database, table, after)
    columns = table.c
    query = (
        sa.select(*(columns[name] for name in names))
        .where(columns.id > after.id, columns.id <= int(bound))
        .order_by(columns.id)
        .limit(CHUNK_ROWS)
    )
    if after.id >= bound:
        return [], after
    with database.read() as connection:
        rows = connection.execute(query).all()
    place = RowPlace(rows[-1].id, rows[-1].at, after.floor) if rows else after
    if not database.is_sqlite and len(rows) < CHUNK_ROWS:
        place = place._replace(id=int(bound))
    return [row for row in rows if row.at >= after.floor], place


def _surely(database: Database, table: sa.Table, after: RowPlace) -> RowPlace:
    """The place to go on from.

    SQLite gives ids again once the rows with the highest ones are deleted, as housekeeping does. If
    the last row that was read is gone, the table is read from its beginning, for rows that are
    not much older than that one.
    """
    if not database.is_sqlite or not after.id:
        return after
    query = sa.select(table.c.at).where(table.c.id == after.id)
    with database.read() as connection:
        at = connection.execute(query).scalar_one_or_none()
    if at == after.at:
        return after
    return RowPlace(0, after.at, max(after.floor, after.at - _CLOCKS_DIFFER_SECONDS))


def _numbers(database: Database, rows: Sequence[Any]) -> dict[int, int]:
    """Number these attempts within those of their recipients."""
    wanted = {row.id for row in rows}
    numbers: dict[int, int] = {}
    recipient_ids = sorted({row.recipient_id for row in rows})
    given = as_parameter((recipient_id,) for recipient_id in recipient_ids)
    for tables in tables_with(database, recipient_ids) if recipient_ids else ():
        ids = sa.select(rows_in(database, {"id": sa.BigInteger()}).c.id)
        table = tables.attempts.c
        query = sa.select(table.recipient_id, table.id).where(table.recipient_id.in_(ids))
        so_far: Counter[int] = Counter()
        with database.read() as connection:
            for recipient_id, attempt_id in connection.execute(query.order_by(table.id), given):
                so_far[recipient_id] += 1
                if attempt_id in wanted:
                    numbers[attempt_id] = so_far[recipient_id]
    return numbers
