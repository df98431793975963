"""Counts of all campaigns together, read from the state database at a small cost.

No query reads recipients or events: their number has no bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns, event_cursors, holds, routes

_OPEN = (CampaignStatus.READY.value, CampaignStatus.SENDING.value)


@dataclass(frozen=True, slots=True)
class StateCounts:
    """Numbers of a state database. Times are seconds since the epoch."""

    campaigns: dict[str, int]
    """By status."""
    oldest: dict[str, float]
    """By connection, when the oldest open campaign over it was launched."""
    fetched_until: dict[str, float]
    """By connection, until when its events have been fetched."""
    holds: dict[str, int]
    """By connection, the parts of open campaigns that wait for a decision."""


def state_counts(database: Database) -> StateCounts:
    """Read the numbers."""
    is_open = campaigns.c.status.in_(_OPEN)
    by_status = sa.select(campaigns.c.status, sa.func.count()).group_by(campaigns.c.status)
    oldest = (
        sa.select(routes.c.connection, sa.func.min(campaigns.c.created_at))
        .join_from(campaigns, routes, routes.c.campaign_id == campaigns.c.id)
        .where(is_open)
        .group_by(routes.c.connection)
    )
    fetched = sa.select(event_cursors.c.connection, event_cursors.c.settled_at).where(
        event_cursors.c.settled_at.is_not(None)
    )
    undecided = (
        sa.select(holds.c.connection, sa.func.count())
        .join_from(holds, campaigns, campaigns.c.id == holds.c.campaign_id)
        .where(is_open, holds.c.decision.is_(None))
        .group_by(holds.c.connection)
    )
    with database.read() as reader:
        found = {status.value: 0 for status in CampaignStatus}
        return StateCounts(
            found | _pairs(reader, by_status),
            _pairs(reader, oldest),
            _pairs(reader, fetched),
            _pairs(reader, undecided),
        )


def _pairs(reader: sa.Connection, query: sa.Select[Any]) -> dict[str, Any]:
    return {row[0]: row[1] for row in reader.execute(query)}
