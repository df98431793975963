"""When a campaign is to be finished, and what is left of it until then.

The moments are stored, so that a campaign that is continued keeps the end that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from mailsluice.core.status import OPEN
from mailsluice.limits import Spread
from mailsluice.store.campaign_tables import CampaignTablesFinder
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns
from mailsluice.store.usages import Usages


@dataclass(frozen=True, slots=True)
class Left:
    """Recipients of one connection whose mail is not settled."""

    due: int
    """Recipients whose mail may go before a moment."""
    later: int
    """Recipients whose next attempt, or whose day of a warm-up, is later."""


class Finishes:
    """The finish time of one campaign, and the pace of its connections towards it."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._usages = Usages(database)
        self._campaign_id = campaign_id
        self._finder = CampaignTablesFinder(database, campaign_id)

    def begin(
        self, opens_at: datetime, finish_at: Callable[[datetime], datetime | None]
    ) -> tuple[datetime, datetime] | None:
        """Store when the campaign is to be finished; returns its first and last moment, or None.

        Args:
            opens_at: When the mail may go, if it was never spread before.
            finish_at: The finish time of mail that may go since a moment; None: it has none.
        """
        since = sa.select(campaigns.c.spread_since).where(campaigns.c.id == self._campaign_id)
        with self._database.write() as transaction:
            stored = transaction.execute(since).scalar_one()
            begun = opens_at if stored is None else datetime.fromtimestamp(stored, UTC)
            end = finish_at(begun)
            transaction.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == self._campaign_id)
                .values(
                    spread_since=begun.timestamp() if end else None,
                    finish_at=end.timestamp() if end else None,
                )
            )
        return (begun, end) if end else None

    def left(self, until: datetime) -> dict[str, Left]:
        """Count the open recipients of each connection, by whether they are due before a moment."""
        recipients = self._finder.tables.recipients
        next_at = recipients.c.next_attempt_at
        is_due = sa.or_(next_at.is_(None), next_at <= until.timestamp())
        query = (
            sa.select(
                recipients.c.connection,
                sa.func.count().filter(is_due),
                sa.func.count().filter(sa.not_(is_due)),
            )
            .where(recipients.c.campaign_id == self._campaign_id, recipients.c.status.in_(OPEN))
            .group_by(recipients.c.connection)
        )
        with self._database.read() as connection:
            return {name: Left(due, later) for name, due, later in connection.execute(query)}

    def spread(self, spreads: Mapping[str, Spread]) -> None:
        """Set the pace under each key from now on."""
        with self._database.write() as transaction:
            self._usages.spread(transaction, spreads)
