"""Count what became of the messages that a connection sent on a day, by mailbox provider."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mailsluice.assignment.day_outcome import DayOutcome
from mailsluice.bounces import BounceKind
from mailsluice.core.status import RecipientStatus
from mailsluice.store.campaign_tables import CampaignTables
from mailsluice.store.schema import bounces, campaign_providers, deliveries

_TROUBLE = ("deferred", "failed")  # verdicts of attempts


def counted(
    reader: sa.Connection,
    tables: CampaignTables,
    mine: sa.ColumnElement[bool],
    name: str,
    first: float,
    last: float,
) -> list[tuple[str, DayOutcome]]:
    """Count the outcome of the time from `first` to `last` in these tables, by mailbox provider.

    A provider is empty where none is known.
    """
    recipients, attempts = tables.recipients, tables.attempts
    in_trouble = sa.exists().where(
        attempts.c.recipient_id == recipients.c.id,
        attempts.c.connection == name,
        attempts.c.at >= first,
        attempts.c.at < last,
        attempts.c.verdict.in_(_TROUBLE),
    )
    reported = sa.exists().where(  # behind a relay, only its events tell
        deliveries.c.recipient_id == recipients.c.id,
        sa.or_(deliveries.c.deferred_at.is_not(None), deliveries.c.bounced_at.is_not(None)),
    )
    sent = sa.and_(
        recipients.c.connection == name,
        recipients.c.status == RecipientStatus.SENT,
        recipients.c.settled_at >= first,
        recipients.c.settled_at < last,
    )
    troubled = sa.or_(in_trouble, sa.and_(sent, reported))
    numbers = _by_provider(recipients, sa.func.count(), recipients)
    complained = _by_provider(
        recipients,
        sa.func.count(recipients.c.id.distinct()),
        bounces.join(recipients, recipients.c.id == bounces.c.recipient_id),
    ).where(
        mine,
        sent,
        bounces.c.campaign_id == recipients.c.campaign_id,
        bounces.c.kind == BounceKind.COMPLAINT,
    )
    in_trouble_now, accepted, complaints = (
        reader.execute(query).all()
        for query in (
            numbers.where(mine, troubled),
            numbers.where(mine, sent, ~troubled),
            complained,
        )
    )
    return [
        *((provider, DayOutcome(number, number)) for provider, number in in_trouble_now),
        *((provider, DayOutcome(number, 0)) for provider, number in accepted),
        *((provider, DayOutcome(0, 0, number)) for provider, number in complaints),
    ]


def _by_provider(
    recipients: sa.Table, number: sa.ColumnElement[int], source: sa.FromClause
) -> sa.Select[Any, int]:
    """Select the names of providers and a number for each."""
    provider = sa.func.coalesce(campaign_providers.c.provider, "")
    is_named = sa.and_(
        campaign_providers.c.campaign_id == recipients.c.campaign_id,
        campaign_providers.c.number == recipients.c.provider,
    )
    return (
        sa.select(provider, number)
        .select_from(source.outerjoin(campaign_providers, is_named))
        .group_by(provider)
    )
