"""Counting what became of accepted messages, by the events of providers."""

from __future__ import annotations

from collections import Counter, defaultdict

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.reports.deliveries.counts import CampaignDeliveries, DeliveryCounts
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import deliveries

_ACCEPTED = (RecipientStatus.SENT.value, RecipientStatus.UNCERTAIN.value)


def delivery_counts(
    database: Database, connection: sa.Connection, campaign_id: int
) -> CampaignDeliveries:
    """Count the deliveries of a campaign by connection, state and reason."""
    recipients = tables_of(database, campaign_id).recipients
    number = sa.func.count()
    query = (
        sa.select(deliveries.c.connection, deliveries.c.state, deliveries.c.failure, number)
        .where(deliveries.c.campaign_id == campaign_id)
        .group_by(deliveries.c.connection, deliveries.c.state, deliveries.c.failure)
    )
    states: dict[str, Counter[DeliveryState]] = defaultdict(Counter)
    failures: dict[str, Counter[FailureKind]] = defaultdict(Counter)
    for name, state, failure, count in connection.execute(query):
        states[name][DeliveryState(state)] += count
        if failure:
            failures[name][FailureKind(failure)] += count
    if not states:
        return CampaignDeliveries()
    in_all = _times(connection, recipients, campaign_id)
    by_connection = {
        name: DeliveryCounts(
            states[name],
            failures[name],
            *(in_all if len(states) == 1 else _times(connection, recipients, campaign_id, name)),
        )
        for name in sorted(states)
    }
    all_states, all_failures = Counter[DeliveryState](), Counter[FailureKind]()
    for name in states:
        all_states += states[name]
        all_failures += failures[name]
    return CampaignDeliveries(by_connection, DeliveryCounts(all_states, all_failures, *in_all))


def _times(
    connection: sa.Connection, recipients: sa.Table, campaign_id: int, name: str | None = None
) -> tuple[float | None, float | None]:
    """Return the median and the 95th percentile of the seconds from acceptance to delivery."""
    took = (deliveries.c.delivered_at - recipients.c.settled_at).label("took")
    delivered = (
        sa.select(took)
        .join(
            recipients,
            sa.and_(
                recipients.c.id == deliveries.c.recipient_id,
                recipients.c.campaign_id == campaign_id,
            ),
        )
        .where(
            deliveries.c.campaign_id == campaign_id,
            sa.true() if name is None else deliveries.c.connection == name,
            deliveries.c.delivered_at.is_not(None),
            recipients.c.status.in_(_ACCEPTED),
            recipients.c.settled_at.is_not(None),
        )
    )
    number = connection.execute(
        sa.select(sa.func.count()).select_from(delivered.subquery())
    ).scalar_one()
    if not number:
        return None, None
    ordered = delivered.order_by(took).limit(1)
    # Nearest rank: the smallest value that at least this share of all values does not exceed.
    ranks = (-(-number * share // 100) - 1 for share in (50, 95))
    median, p95 = (
        max(0.0, connection.execute(ordered.offset(rank)).scalar_one()) for rank in ranks
    )
    return median, p95
