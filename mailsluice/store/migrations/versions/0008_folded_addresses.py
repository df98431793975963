"""Folded addresses: stored addresses are compared folded too (`mailsluice.core.folding`).

Spellings of one mailbox become one row of `suppressions`, with the strongest reason and the oldest
date. When several recipients of a campaign in progress are the same mailbox, the one that was sent
to, or else the first, stays; the others that wait are suppressed, so that none gets the mail twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from mailsluice.core.folding import ANOTHER_SPELLING, folded

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PAGE_ROWS = 20_000
_REASONS = ("complained", "unsubscribed", "bounced", "manual", "imported")  # the strongest first

_recipients = sa.table(
    "recipients",
    *map(sa.column, ("id", "campaign_id", "email", "folded", "status", "attempts", "reply")),
    sa.column("settled_at"),
    sa.column("next_attempt_at"),
)
_bounces = sa.table("bounces", sa.column("id"), sa.column("email"))
_suppressions = sa.table(
    "suppressions", *map(sa.column, ("email", "reason", "source", "created_at"))
)
_campaigns = sa.table("campaigns", sa.column("id"), sa.column("status"))


def upgrade() -> None:
    op.add_column("recipients", sa.Column("folded", sa.Text))
    connection = op.get_bind()
    _rewrite(connection, _recipients, "folded")
    _rewrite(connection, _bounces, "email")
    _merge_suppressions(connection)
    _leave_one_of_each(connection)


def _rewrite(connection: sa.Connection, table: sa.TableClause, column: str) -> None:
    change = sa.update(table).where(table.c.id == sa.bindparam("of"))
    change = change.values({column: sa.bindparam("to")})
    for rows in _pages(connection, table, "id", table.c.id, table.c.email):
        found = [{"of": row.id, "to": folded(row.email)} for row in rows]
        if found:
            connection.execute(change, found)


def _pages(
    connection: sa.Connection, table: sa.TableClause, key: str, *columns: sa.ColumnClause[Any]
) -> Iterator[Sequence[sa.Row[Any]]]:
    """Rows whose address is not yet folded, in the order of a key."""
    query = sa.select(*columns).where(_may_differ(connection, table.c.email))
    query = query.order_by(table.c[key]).limit(_PAGE_ROWS)
    page = connection.execute(query).all()
    while page:
        yield [row for row in page if folded(row.email) != row.email]
        page = connection.execute(query.where(table.c[key] > getattr(page[-1], key))).all()


def _may_differ(connection: sa.Connection, email: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Capital letters, quotes, or other characters than those of ASCII."""
    if connection.dialect.name == "sqlite":
        lower = sa.func.lower(email)
        octets = sa.func.length(sa.cast(email, sa.LargeBinary))
    else:
        lower = sa.func.lower(sa.collate(email, "C"))
        octets = sa.func.octet_length(email)
    return sa.or_(lower != email, octets != sa.func.length(email), email.contains('"'))


def _merge_suppressions(connection: sa.Connection) -> None:
    columns = _suppressions.c
    for rows in _pages(connection, _suppressions, "email", *columns):
        merged: dict[str, dict[str, Any]] = {}
        forms = {folded(row.email) for row in rows}
        there = _of(connection, sorted(forms))
        gone = [{"of": row.email} for row in (*rows, *there)]
        for row in (*there, *rows):
            key = folded(row.email)
            merged[key] = _stronger(merged.get(key), row)
        if gone:
            delete = sa.delete(_suppressions).where(columns.email == sa.bindparam("of"))
            connection.execute(delete, gone)
            connection.execute(
                sa.insert(_suppressions), [{**row, "email": key} for key, row in merged.items()]
            )


def _of(connection: sa.Connection, emails: Sequence[str]) -> list[sa.Row[Any]]:
    found: list[sa.Row[Any]] = []
    for start in range(0, len(emails), 500):
        part = _suppressions.c.email.in_(emails[start : start + 500])
        found += connection.execute(sa.select(_suppressions).where(part))
    return found


def _stronger(one: dict[str, Any] | None, row: sa.Row[Any]) -> dict[str, Any]:
    """The stronger of two reasons, with the older date."""
    other = row._asdict()
    if one is None:
        return other
    kept = min(one, other, key=lambda each: (_rank(each["reason"]), each["created_at"]))
    return {**kept, "created_at": min(one["created_at"], other["created_at"])}


def _rank(reason: str) -> int:
    return _REASONS.index(reason) if reason in _REASONS else len(_REASONS)


def _leave_one_of_each(connection: sa.Connection) -> None:
    columns = _recipients.c
    compared = sa.func.coalesce(columns.folded, columns.email)
    under_way = sa.select(_campaigns.c.id).where(
        _campaigns.c.status.not_in(["completed", "cancelled"])
    )
    # Only an address with a folded form can be another spelling of a recipient's address.
    twins = sa.select(columns.folded).where(columns.folded.is_not(None))
    is_waiting = columns.status.in_(["pending", "deferred"])
    place = sa.func.row_number().over(
        partition_by=(columns.campaign_id, compared),
        order_by=(
            sa.case((is_waiting, 1), else_=0),
            columns.attempts.desc(),
            columns.id,
        ),
    )
    ranked = (
        sa.select(columns.id, columns.status, place.label("place"))
        .where(columns.campaign_id.in_(under_way), compared.in_(twins))
        .subquery()
    )
    later = sa.select(ranked.c.id).where(
        ranked.c.place > 1, ranked.c.status.in_(["pending", "deferred"])
    )
    connection.execute(
        sa.update(_recipients)
        .where(columns.id.in_(later), is_waiting)
        .values(status="suppressed", reply=ANOTHER_SPELLING, next_attempt_at=None)
    )
