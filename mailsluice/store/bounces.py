"""Bounces and complaints: each is recorded once, and may suppress its address.

When a recipient fails for a reason of its own, the transaction that records the outcome also adds
the bounce and the suppression. So accepted mail costs nothing, and a crash cannot separate the two.
Soft bounces are judged at the end of a run, outside any transaction: the search for a delivery
between them scans the recipients of later campaigns, since an index on addresses would slow every
launch. No state is kept about a series of soft bounces, so the order of reports does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.core.folding import folded
from mailsluice.core.status import RecipientStatus
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.event import DeliveryState
from mailsluice.store.campaign_tables import CampaignTables, tables_of_all
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.schema import bounces, campaigns, deliveries, suppressions
from mailsluice.store.summaries import note_later_changes
from mailsluice.store.suppressions import Suppressions

SOFT_IN_A_ROW = 5
"""Soft bounces that suppress an address, when no message was delivered between them."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The numbers of new reports and suppressions."""

    new: int
    """Reports that were not recorded before."""
    suppressed: int
    """Addresses that were added to the suppression list."""


class Bounces:
    """The `bounces` table, and the policy that suppresses addresses.

    A hard bounce suppresses its address at once with the reason "bounced", a complaint with the
    reason "complained". SOFT_IN_A_ROW soft bounces without a delivery between them suppress the
    address as "bounced".
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, reports: Sequence[Bounce]) -> Recorded:
        """Record reports, and suppress addresses by the policy; a report counts once by its key."""
        with self._database.write() as transaction:
            recorded = self.write(transaction, reports)
            known = {report.campaign_id for report in reports if report.campaign_id is not None}
            note_later_changes(self._database, transaction, known)
        soft = {report.email for report in reports if report.kind is BounceKind.SOFT}
        return Recorded(recorded.new, recorded.suppressed + self.suppress_soft(soft))

    def write(
        self,
        transaction: sa.Connection,
        reports: Sequence[Bounce],
        wishes: Sequence[Suppression] = (),
    ) -> Recorded:
        """Record reports; hard bounces and complaints suppress at once, soft bounces do not.

        `suppress_soft` judges the soft bounces. `wishes` are suppressed together with these: a
        transaction that writes suppressions twice could wait for another one that waits for it.
        """
        new = self._insert(transaction, reports) if reports else set()
        final = [
            Suppression(report.email, _REASON[report.kind], report.source)
            for report in reports
            if report.key in new and report.kind in _REASON
        ]
        listed = Suppressions(self._database).write(transaction, [*final, *wishes])
        return Recorded(len(new), listed)

    def _insert(self, transaction: sa.Connection, reports: Sequence[Bounce]) -> set[str]:
        """Insert the reports that are new, and return their keys."""
        insert = self._database.built(_insert_new)
        # All transactions insert in the same order, so that no two wait for each other.
        ordered = sorted(reports, key=lambda report: report.key)
        rows = (astuple(replace(report, email=folded(report.email))) for report in ordered)
        return set(transaction.execute(insert, as_parameter(rows)).scalars())

    def suppress_soft(self, emails: Iterable[str]) -> int:
        """Suppress the addresses with SOFT_IN_A_ROW soft bounces. Returns how many are new.

        The search for deliveries since the first of these bounces may scan the recipients of all
        later campaigns, so it runs outside a transaction.
        """
        rows = [(email,) for email in {folded(email) for email in emails}]
        with self._database.read() as connection:
            series = connection.execute(self._series(), as_parameter(rows)).all() if rows else []
            if not series:
                return 0
        delivered = self._delivered(
            [row.email for row in series], since=min(row.since for row in series)
        )
        due = [
            Suppression(row.email, SuppressionReason.BOUNCED, row.source)
            for row in series
            if delivered.get(row.email, -math.inf) <= row.since
        ]
        with self._database.write() as transaction:
            return Suppressions(self._database).write(transaction, due)

    def soft_of(self, campaign_id: int) -> list[str]:
        """The addresses with a soft bounce of this campaign's mail."""
        query = sa.select(bounces.c.email).where(
            bounces.c.campaign_id == campaign_id, bounces.c.kind == BounceKind.SOFT
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def _series(self) -> sa.Select[Any]:
        """Unsuppressed addresses with SOFT_IN_A_ROW bounces, and the time of the first of these."""
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
                ~ARRIVED,
            )
            # One message may cause several reports.
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

    def _delivered(self, emails: Sequence[str], *, since: float) -> dict[str, float]:
        """The latest delivery since then, by address; a message that bounced was not delivered."""
        is_recent = sa.func.coalesce(campaigns.c.ended_at, since) >= since
        given = as_parameter((email,) for email in emails)
        latest: dict[str, float] = {}
        for tables, mine in tables_of_all(self._database, is_recent):
            query = self._deliveries(tables, mine, since)
            with self._database.read() as connection:
                for email, at in connection.execute(query, given):
                    latest[email] = max(at, latest.get(email, at))
        return latest

    def _deliveries(
        self, tables: CampaignTables, mine: sa.ColumnElement[bool], since: float
    ) -> sa.Select[str, Any]:
        """The latest delivery to each given address, in these tables under this condition."""
        recipients, compared = tables.recipients, tables.compared
        given = rows_in(self._database, {"email": sa.Text()})
        bounced = sa.exists().where(
            bounces.c.email == compared,
            bounces.c.campaign_id == recipients.c.campaign_id,
            ~ARRIVED,
        )
        return (
            sa.select(compared.label("email"), sa.func.max(recipients.c.settled_at).label("at"))
            .where(
                mine,
                recipients.c.status == RecipientStatus.SENT,
                recipients.c.settled_at > since,
                compared.in_(sa.select(given.c.email)),
                ~bounced,
            )
            .group_by(compared)
        )


_IS_UNPROVEN = sa.and_(
    bounces.c.key.startswith("event "),
    bounces.c.kind == BounceKind.SOFT.value,
    bounces.c.status == "",
    ~bounces.c.detail.regexp_match(r"(^|[^0-9.])[45][0-9][0-9]([^0-9.]|$)"),
)
"""Whether an event reports a soft bounce with neither a status nor the reply of a server. After a
delivery that may be an automatic reply, while a server that returns a mail late says why."""
ARRIVED = sa.exists().where(
    deliveries.c.recipient_id == bounces.c.recipient_id,
    sa.or_(
        deliveries.c.state == DeliveryState.DELIVERED.value,
        sa.and_(deliveries.c.delivered_at.is_not(None), _IS_UNPROVEN),
    ),
)
"""Whether the message of a bounce was delivered in the end, as its provider reports."""
_REASON = {
    BounceKind.HARD: SuppressionReason.BOUNCED,
    BounceKind.COMPLAINT: SuppressionReason.COMPLAINED,
}
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    name: bounces.c[name].type for name in Bounce.__dataclass_fields__
}


def _insert_new(database: Database) -> ReturningInsert[Any]:
    """Insert the given reports that are new, and return their keys."""
    given = rows_in(database, _TYPES)
    # Without a condition SQLite reads ON CONFLICT as the condition of a join.
    return (
        database.insert_ignoring(bounces)
        .from_select(given.c.keys(), sa.select(given).where(sa.true()))
        .returning(bounces.c.key)
    )
