"""What comes back: recorded once, and what follows from it for the list of suppressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.outbox.database import Database
from mailsluice.outbox.many import as_parameter, rows_in
from mailsluice.outbox.schema import bounces, campaigns, recipients, suppressions
from mailsluice.status import RecipientStatus

SOFT_IN_A_ROW = 5
"""So many messages that came back softly, with none delivered between, suppress an address."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was new."""

    new: int
    """Reports that were not known before."""
    suppressed: int
    """Addresses that were put on the list of suppressions."""


class Bounces:
    """The `bounces` table, and the policy that goes with it.

    A hard bounce suppresses its address at once ("bounced"), a complaint as well ("complained").
    Soft ones do where SOFT_IN_A_ROW messages came back with none delivered between.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, reports: Sequence[Bounce]) -> Recorded:
        """Record reports and suppress whom they tell to; those known by their key count once."""
        with self._database.write() as transaction:
            done = self.write(transaction, reports)
        soft = {one.email for one in reports if one.kind is BounceKind.SOFT}
        return Recorded(done.new, done.suppressed + self.suppress_soft(soft))

    def write(self, transaction: sa.Connection, reports: Sequence[Bounce]) -> Recorded:
        """Record reports; hard ones and complaints suppress at once. See `suppress_soft`."""
        if not reports:
            return Recorded(0, 0)
        # One statement a table, so that the rows need not be counted to know what is new.
        given = rows_in(self._database, _TYPES)
        new = self._insert(transaction, bounces, given, as_parameter(map(_row, reports)))
        final = [
            (one.email, _REASON[one.kind], one.source) for one in reports if one.kind in _REASON
        ]
        return Recorded(new, self._suppress(transaction, final))

    def suppress_soft(self, emails: Iterable[str]) -> int:
        """Suppress those of the addresses whose row of soft bounces is long enough.

        Looks at what was sent since the first of the row, which may be a scan of these campaigns'
        recipients; so nothing is locked meanwhile. Returns how many are new on the list.
        """
        rows = [(email,) for email in emails]
        if not rows:
            return 0
        with self._database.read() as connection:
            long = connection.execute(self._long_rows(), as_parameter(rows)).all()
            if not long:
                return 0
            delivered = set(
                connection.execute(
                    self._delivered(min(row.since for row in long)),
                    as_parameter((row.email, row.since) for row in long),
                ).scalars()
            )
        due = [(row.email, "bounced", row.source) for row in long if row.email not in delivered]
        with self._database.write() as transaction:
            return self._suppress(transaction, due)

    def _long_rows(self) -> sa.Select[Any]:
        """Addresses that are not on the list, with the moment of the fifth latest message that
        came back."""
        given = rows_in(self._database, {"email": sa.Text()})
        is_listed = sa.exists().where(suppressions.c.email == bounces.c.email)
        messages = (
            sa.select(
                bounces.c.email,
                sa.func.max(bounces.c.at).label("at"),
                sa.func.max(bounces.c.source).label("source"),
            )
            .where(
                bounces.c.email.in_(sa.select(given.c.email)),
                bounces.c.kind == BounceKind.SOFT,
                bounces.c.counts,
                ~is_listed,
            )
            # A message may come back with several reports.
            .group_by(
                bounces.c.email,
                sa.func.coalesce(sa.cast(bounces.c.campaign_id, sa.Text()), bounces.c.key),
            )
            .subquery()
        )
        number = sa.func.row_number().over(
            partition_by=messages.c.email, order_by=messages.c.at.desc()
        )
        ranked = sa.select(messages, number.label("number")).subquery()
        return sa.select(ranked.c.email, ranked.c.at.label("since"), ranked.c.source).where(
            ranked.c.number == SOFT_IN_A_ROW
        )

    def _delivered(self, since: float) -> sa.Select[Any]:
        """Those of the addresses to which a message was accepted since, and did not come back."""
        given = rows_in(self._database, {"email": sa.Text(), "since": sa.Double()})
        came_back = sa.exists().where(
            bounces.c.email == recipients.c.email,
            bounces.c.campaign_id == recipients.c.campaign_id,
        )
        recent = sa.select(campaigns.c.id).where(
            sa.func.coalesce(campaigns.c.ended_at, since) >= since
        )
        return sa.select(recipients.c.email).where(
            recipients.c.campaign_id.in_(recent),
            recipients.c.status == RecipientStatus.SENT,
            recipients.c.settled_at > given.c.since,
            recipients.c.email == given.c.email,
            ~came_back,
        )

    def _suppress(self, transaction: sa.Connection, rows: Sequence[tuple[str, str, str]]) -> int:
        if not rows:
            return 0
        types = {name: sa.Text() for name in ("email", "reason", "source")}
        given = rows_in(self._database, types)
        return self._insert(
            transaction, suppressions, given, as_parameter(rows), created_at=self._database.now
        )

    def _insert(
        self,
        transaction: sa.Connection,
        table: sa.Table,
        given: sa.Subquery,
        parameter: dict[str, str],
        **computed: sa.ColumnElement[Any],
    ) -> int:
        """Insert the given rows, except those whose key is there. Returns how many are new."""
        columns = [*given.c, *(value.label(name) for name, value in computed.items())]
        # The condition tells SQLite that ON CONFLICT is no join's.
        source = sa.select(*columns).where(sa.true())
        names = [*given.c.keys(), *computed]
        insert = self._database.insert_ignoring(table).from_select(names, source)
        options = {"preserve_rowcount": True}  # else it is not known after an INSERT
        return transaction.execute(insert, parameter, execution_options=options).rowcount


_REASON = {BounceKind.HARD: "bounced", BounceKind.COMPLAINT: "complained"}
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    name: bounces.c[name].type for name in Bounce.__dataclass_fields__
}


def _row(one: Bounce) -> tuple[Any, ...]:
    return astuple(one)
