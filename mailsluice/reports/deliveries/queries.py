"""Counting what became of accepted messages, by the events of providers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import accumulate

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.reports.deliveries.counts import (
    CampaignDeliveries,
    CampaignTimes,
    DeliveryCounts,
    DeliveryTimes,
)
from mailsluice.reports.providers.counts import ProviderCounts
from mailsluice.reports.providers.queries import provider_counts, provider_group
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import deliveries

_ACCEPTED = (RecipientStatus.SENT.value, RecipientStatus.UNCERTAIN.value)
_LONGEST_SECONDS = 30 * 86_400.0
"""Longer times to delivery count as this."""


def delivery_counts(
    connection: sa.Connection, campaign_id: int, times: CampaignTimes
) -> CampaignDeliveries:
    """Count the deliveries of a campaign by connection, state and reason."""
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
    by_connection = {
        name: DeliveryCounts(states[name], failures[name], *_seconds(times.by_connection.get(name)))
        for name in sorted(states)
    }
    all_states, all_failures = Counter[DeliveryState](), Counter[FailureKind]()
    for name in states:
        all_states += states[name]
        all_failures += failures[name]
    in_all = DeliveryCounts(all_states, all_failures, *_seconds(times.in_all))
    return CampaignDeliveries(by_connection, in_all)


def _seconds(times: DeliveryTimes | None) -> tuple[float | None, float | None]:
    return (times.median_seconds, times.p95_seconds) if times else (None, None)


def delivery_times(
    database: Database, connection: sa.Connection, campaign_id: int
) -> CampaignTimes:
    """Measure the times from acceptance to delivery, as exactly as a page shows them.

    One pass counts how often each time occurs; so the memory is bounded.
    """
    recipients = tables_of(database, campaign_id).recipients
    took = deliveries.c.delivered_at - recipients.c.settled_at
    rounded = sa.case(
        (took <= 0, 0.0),
        (took < 120, sa.func.round(took)),
        (took < 7_200, sa.func.round(took / 60) * 60),
        (took < _LONGEST_SECONDS, sa.func.round(took / 360) * 360),
        else_=_LONGEST_SECONDS,
    )
    query = (
        sa.select(deliveries.c.connection, provider_group(recipients), rounded, sa.func.count())
        .join(recipients, recipients.c.id == deliveries.c.recipient_id)
        .where(
            deliveries.c.campaign_id == campaign_id,
            recipients.c.campaign_id == campaign_id,
            deliveries.c.delivered_at.is_not(None),
            recipients.c.status.in_(_ACCEPTED),
            recipients.c.settled_at.is_not(None),
        )
        .group_by(sa.text("1, 2, 3"))
    )
    by_connection: defaultdict[str, Counter[float]] = defaultdict(Counter)
    by_provider: defaultdict[int, Counter[float]] = defaultdict(Counter)
    for name, number, seconds, count in connection.execute(query):
        by_connection[name][seconds] += count
        by_provider[number][seconds] += count
    if not by_provider:
        return CampaignTimes()
    return CampaignTimes(
        {name: _times(counts) for name, counts in by_connection.items()},
        {number: _times(counts) for number, counts in by_provider.items()},
        _times(sum(by_provider.values(), Counter())),
    )


def count_providers(database: Database, campaign_id: int) -> ProviderCounts:
    """Count what became of the mail to each mailbox provider, with times to delivery."""
    with database.sorting() as connection:
        times = delivery_times(database, connection, campaign_id)
        return provider_counts(database, connection, campaign_id, times.by_provider)


def _times(counts: Counter[float]) -> DeliveryTimes:
    """The nearest ranks: the least values that 50 and 95 % of all do not exceed."""
    values = sorted(counts)
    reached = [*accumulate(counts[value] for value in values)]
    median, p95 = (
        values[bisect_left(reached, -(-reached[-1] * percent // 100))] for percent in (50, 95)
    )
    return DeliveryTimes(median, p95)
