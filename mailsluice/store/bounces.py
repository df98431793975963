"""Bounces and complaints: recorded once, and what follows for the suppression list.

A recipient that failed for a reason of its own is written into `bounces`, and suppressed, in the
transaction that settles it: accepted mail costs nothing, and a crash cannot separate the two. Soft
bounces are judged at the end of a run, outside any transaction, because whether mail was delivered
between them is a scan of later campaigns, and an index on addresses would slow every launch.
Nothing is remembered about rows of soft bounces, so the order of reports does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.core.folding import folded
from mailsluice.core.status import RecipientStatus
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.schema import bounces, campaigns, compared, recipients, suppressions
from mailsluice.store.suppressions import Suppressions

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
        given = rows_in(self._database, _TYPES)
        # The condition tells SQLite that ON CONFLICT is no join's.
        insert = (
            self._database.insert_ignoring(bounces)
            .from_select(given.c.keys(), sa.select(given).where(sa.true()))
            .returning(bounces.c.key)
        )
        # In one order, so that two transactions do not wait for each other.
        ordered = sorted(reports, key=lambda one: one.key)
        rows = (astuple(replace(one, email=folded(one.email))) for one in ordered)
        new = set(transaction.execute(insert, as_parameter(rows)).scalars())
        final = [
            Suppression(one.email, _REASON[one.kind], one.source)
            for one in reports
            if one.key in new and one.kind in _REASON
        ]
        return Recorded(len(new), Suppressions(self._database).write(transaction, final))

    def suppress_soft(self, emails: Iterable[str]) -> int:
        """Suppress those of the addresses whose row of soft bounces is long enough.

        Looks at what was sent since the first of the row, which may be a scan of these campaigns'
        recipients; so nothing is locked meanwhile. Returns how many are new on the list.
        """
        rows = [(email,) for email in {folded(email) for email in emails}]
        with self._database.read() as connection:
            long = connection.execute(self._long_rows(), as_parameter(rows)).all() if rows else []
            if not long:
                return 0
            since = min(row.since for row in long)
            query = self._delivered(since)
            given = as_parameter((row.email,) for row in long)
            delivered = {row.email: row.at for row in connection.execute(query, given)}
        due = [
            Suppression(row.email, SuppressionReason.BOUNCED, row.source)
            for row in long
            if delivered.get(row.email, -math.inf) <= row.since
        ]
        with self._database.write() as transaction:
            return Suppressions(self._database).write(transaction, due)

    def soft_of(self, campaign_id: int) -> list[str]:
        """The addresses whose mail of a campaign came back softly."""
        query = sa.select(bounces.c.email).where(
            bounces.c.campaign_id == campaign_id, bounces.c.kind == BounceKind.SOFT
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

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
        """When a message was last accepted since, and did not come back: by address."""
        given = rows_in(self._database, {"email": sa.Text()})
        came_back = sa.exists().where(
            bounces.c.email == compared,
            bounces.c.campaign_id == recipients.c.campaign_id,
        )
        recent = sa.select(campaigns.c.id).where(
            sa.func.coalesce(campaigns.c.ended_at, since) >= since
        )
        return (
            sa.select(compared.label("email"), sa.func.max(recipients.c.settled_at).label("at"))
            .where(
                recipients.c.campaign_id.in_(recent),
                recipients.c.status == RecipientStatus.SENT,
                recipients.c.settled_at > since,
                compared.in_(sa.select(given.c.email)),
                ~came_back,
            )
            .group_by(compared)
        )


_REASON = {
    BounceKind.HARD: SuppressionReason.BOUNCED,
    BounceKind.COMPLAINT: SuppressionReason.COMPLAINED,
}
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    name: bounces.c[name].type for name in Bounce.__dataclass_fields__
}
