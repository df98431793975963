"""Alerts about campaigns whose share of bounces or complaints passed a threshold."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.bounces import BounceKind
from mailsluice.bounces.shares import Exceeded, ReturnedCounts, exceeded
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import alerts, bounces, campaigns, deliveries


class Alerts:
    """The `alerts` table: one row for each campaign and threshold that was passed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, campaign_id: int) -> tuple[str, list[Exceeded]]:
        """The campaign's name, and the thresholds that it passed since the last call.

        Each threshold is returned once: this call records that it was reported.
        """
        passed = list(exceeded(self._returned(campaign_id)))
        with self._database.write() as transaction:
            name = sa.select(campaigns.c.name).where(campaigns.c.id == campaign_id)
            new = [
                threshold
                for threshold in passed
                if self._is_new(transaction, campaign_id, threshold)
            ]
            return transaction.execute(name).scalar_one(), new

    def _is_new(self, transaction: sa.Connection, campaign_id: int, threshold: Exceeded) -> bool:
        insert = self._database.insert_ignoring(alerts).values(
            campaign_id=campaign_id,
            kind="complaints" if threshold.complaints else "bounces",
            threshold=threshold.threshold,
            at=self._database.now,
        )
        return bool(transaction.execute(insert.returning(alerts.c.threshold)).all())

    def _returned(self, campaign_id: int) -> ReturnedCounts:
        returned = (
            sa.select(bounces.c.kind, sa.func.count(bounces.c.email.distinct()).label("number"))
            .where(bounces.c.campaign_id == campaign_id)
            .group_by(bounces.c.kind)
        )
        recipients = tables_of(self._database, campaign_id).recipients
        sent = sa.func.count().filter(recipients.c.status == RecipientStatus.SENT)
        attempted = (
            sa.select(recipients.c.connection, sa.func.count().label("number"), sent.label("sent"))
            .where(recipients.c.campaign_id == campaign_id, recipients.c.attempts > 0)
            .group_by(recipients.c.connection)
        )
        number = sa.func.count()
        reported = (
            sa.select(
                deliveries.c.connection,
                number.filter(deliveries.c.state != DeliveryState.DEFERRED).label("known"),
                number.filter(deliveries.c.failure == FailureKind.BLOCK).label("blocked"),
                sa.func.count(deliveries.c.delivered_at).label("delivered"),
            )
            .where(deliveries.c.campaign_id == campaign_id)
            .group_by(deliveries.c.connection)
        )
        with self._database.read() as connection:
            by_kind = {row.kind: row.number for row in connection.execute(returned)}
            known = {row.connection: row for row in connection.execute(reported)}
            blocked = sum(row.blocked for row in known.values())
            if not blocked and not by_kind.keys() & {BounceKind.HARD, BounceKind.COMPLAINT}:
                return ReturnedCounts(0, 0, 0, 0)  # the usual case, without reading all recipients
            counted = connection.execute(attempted).all()
        unknown = sum(
            max(0, row.sent - known[row.connection].known)
            for row in counted
            if row.connection in known and known[row.connection].delivered
        )
        return ReturnedCounts(
            sum(row.number for row in counted) - unknown,
            sum(row.sent for row in counted),
            by_kind.get(BounceKind.HARD, 0),
            by_kind.get(BounceKind.COMPLAINT, 0),
            blocked,
        )
