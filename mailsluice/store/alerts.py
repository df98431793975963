"""What has been told about a campaign, and what there is to tell."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.bounces import BounceKind
from mailsluice.bounces.shares import Exceeded, ReturnedCounts, exceeded
from mailsluice.core.status import RecipientStatus
from mailsluice.store.database import Database
from mailsluice.store.schema import alerts, bounces, campaigns, recipients


class Alerts:
    """The `alerts` table: one row a campaign and threshold that was passed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, campaign_id: int) -> tuple[str, list[Exceeded]]:
        """The campaign's name, and the thresholds that it has passed and were not told so far.

        They count as told from now on.
        """
        found = list(exceeded(self._returned(campaign_id)))
        with self._database.write() as transaction:
            name = sa.select(campaigns.c.name).where(campaigns.c.id == campaign_id)
            new = [one for one in found if self._is_new(transaction, campaign_id, one)]
            return transaction.execute(name).scalar_one(), new

    def _is_new(self, transaction: sa.Connection, campaign_id: int, one: Exceeded) -> bool:
        insert = self._database.insert_ignoring(alerts).values(
            campaign_id=campaign_id,
            kind="complaints" if one.complaints else "bounces",
            threshold=one.threshold,
            at=self._database.now,
        )
        return bool(transaction.execute(insert.returning(alerts.c.threshold)).all())

    def _returned(self, campaign_id: int) -> ReturnedCounts:
        came_back = (
            sa.select(bounces.c.kind, sa.func.count(bounces.c.email.distinct()).label("number"))
            .where(bounces.c.campaign_id == campaign_id)
            .group_by(bounces.c.kind)
        )
        sent = sa.func.count().filter(recipients.c.status == RecipientStatus.SENT)
        attempted = sa.select(sa.func.count(), sent).where(
            recipients.c.campaign_id == campaign_id, recipients.c.attempts > 0
        )
        with self._database.read() as connection:
            by_kind = {row.kind: row.number for row in connection.execute(came_back)}
            if not by_kind.keys() & {BounceKind.HARD, BounceKind.COMPLAINT}:
                return ReturnedCounts(0, 0, 0, 0)  # the usual case, without a look at everybody
            number, accepted = connection.execute(attempted).one()
        return ReturnedCounts(
            number, accepted, by_kind.get(BounceKind.HARD, 0), by_kind.get(BounceKind.COMPLAINT, 0)
        )
