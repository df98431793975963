"""Reading the list of campaigns from what was counted before, and counting what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa

from mailsluice.bounces import BounceKind
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.events.event import DeliveryState
from mailsluice.reports.overview.overview import CampaignRow, Overview, state_of
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.outbox import Outbox
from mailsluice.store.schema import (
    archives,
    bounces,
    campaign_summaries,
    campaigns,
    deliveries,
    holds,
)
from mailsluice.store.summaries import Summary

LATEST = 100
"""Campaigns that are listed, whatever their state."""
MOST = 300
"""Campaigns that are listed in all: older ones only where they have not ended."""
MOST_COUNTED = 1_000_000
"""Recipients that one list counts, seconds of work; the next list counts the others."""
_STORED = (
    "changes", "counted_changes", "per_second", "expected_end", "later_changes",
    "counted_later_changes", "delivered", "bounced", "complained", "run_id", "reported_at",
)  # fmt: skip
_ENDED = (CampaignStatus.COMPLETED.value, CampaignStatus.CANCELLED.value)
_DELIVERED = (DeliveryState.DELIVERED, DeliveryState.UNSUBSCRIBED, DeliveryState.COMPLAINED)


def overview(database: Database) -> Overview:
    """List the latest campaigns, and those that have not ended.

    Numbers that were counted before are read. Campaigns that have changed since are counted first,
    and the numbers stored, up to MOST_COUNTED recipients.
    """
    with database.read() as connection:
        stale = [row for row in connection.execute(_query(database)) if _is_stale(row)]
    for row in _affordable(stale):
        _count(database, row)
    with database.read() as connection:
        rows = connection.execute(_query(database)).all()
        number = connection.execute(sa.select(sa.func.count()).select_from(campaigns)).scalar_one()
        as_of = float(connection.execute(sa.select(database.now)).scalar_one())
    return Overview([_row(row) for row in rows], number - len(rows), as_of)


def _query(database: Database) -> sa.Select[Any]:
    kept, held = campaigns.c, holds.c
    summary = campaign_summaries.c
    latest = sa.select(kept.id).order_by(kept.id.desc()).limit(LATEST)
    is_held = sa.exists().where(held.campaign_id == kept.id, held.decided_at.is_(None))
    return (
        sa.select(
            *(kept[name] for name in ("id", "name", "status", "accepted", "ended_at")),
            *(summary[name] for name in _STORED),
            summary.accepted.label("messages"),
            archives.c.counts.label("archived"),
            sa.func.coalesce(kept.lease_until > database.now, sa.false()).label("is_run"),
            is_held.label("is_held"),
        )
        .outerjoin(campaign_summaries, summary.campaign_id == kept.id)
        .outerjoin(archives, archives.c.campaign_id == kept.id)
        .where(sa.or_(kept.id.in_(latest.scalar_subquery()), kept.status.not_in(_ENDED)))
        .order_by(kept.id.desc())
        .limit(MOST)
    )


def _is_stale(row: sa.Row[Any]) -> bool:
    """Whether a campaign is to be counted: not one that is launched, or whose run counts."""
    if row.archived is not None or row.status == CampaignStatus.RESOLVING:
        return False
    return _has_changed(row) or _has_changed_later(row)


def _has_changed(row: sa.Row[Any]) -> bool:
    return not row.is_run and (row.counted_changes is None or row.counted_changes != row.changes)


def _has_changed_later(row: sa.Row[Any]) -> bool:
    counted = row.counted_later_changes
    return counted is None or counted != row.later_changes


def _affordable(stale: list[sa.Row[Any]]) -> Iterator[sa.Row[Any]]:
    """The first campaigns that together have few enough recipients; at least one."""
    spent = 0
    for row in stale:
        spent += row.accepted
        if spent > MOST_COUNTED and row is not stale[0]:
            return
        yield row


def _count(database: Database, row: sa.Row[Any]) -> None:
    summary = Summary(database, row.id)
    if _has_changed(row):
        changes = summary.changes()
        counts = Outbox(database, row.id).counts()
        summary.counted(counts.of(RecipientStatus.SENT), changes)
    if _has_changed_later(row):
        count_later(database, row.id)


def count_later(database: Database, campaign_id: int) -> None:
    """Count what became of a campaign's accepted mail, and store it in the campaign's summary."""
    summary = Summary(database, campaign_id)
    changes = summary.later_changes()
    state, number = deliveries.c.state, sa.func.count().label("number")
    by_state = sa.select(state, number).where(deliveries.c.campaign_id == campaign_id)
    with database.sorting() as connection:
        found = connection.execute(by_state.group_by(state)).all()
        returned = connection.execute(_returned(database, campaign_id)).scalar_one()
        complained = connection.execute(_complained(campaign_id)).scalar_one()
    states: dict[str, int] = {row.state: row.number for row in found}
    delivered = sum(states.get(known.value, 0) for known in _DELIVERED) if states else None
    bounced = states.get(DeliveryState.BOUNCED.value, 0) + returned
    summary.counted_later(changes, delivered, bounced, complained)


def _returned(database: Database, campaign_id: int) -> sa.Select[Any]:
    """Accepted messages that came back by mail, and of which no event tells more."""
    recipients = tables_of(database, campaign_id).recipients
    is_known = sa.exists().where(deliveries.c.recipient_id == recipients.c.id)
    return (
        sa.select(sa.func.count(recipients.c.id.distinct()))
        .join_from(bounces, recipients, bounces.c.recipient_id == recipients.c.id)
        .where(
            bounces.c.campaign_id == campaign_id,
            bounces.c.kind != BounceKind.COMPLAINT.value,
            recipients.c.campaign_id == campaign_id,
            recipients.c.status == RecipientStatus.SENT.value,
            ~is_known,
        )
    )


def _complained(campaign_id: int) -> sa.Select[Any]:
    return sa.select(sa.func.count(bounces.c.email.distinct())).where(
        bounces.c.campaign_id == campaign_id, bounces.c.kind == BounceKind.COMPLAINT.value
    )


def _row(row: sa.Row[Any]) -> CampaignRow:
    status = CampaignStatus(row.status)
    state = state_of(status, is_run=bool(row.is_run), is_held=bool(row.is_held))
    return CampaignRow(
        name=row.name,
        state=state,
        planned=row.accepted,
        accepted=_archived(row.archived) if row.archived else row.messages,
        delivered=row.delivered,
        bounced=row.bounced,
        complained=row.complained,
        per_second=row.per_second,
        ended_at=row.ended_at,
        expected_end=row.expected_end if row.is_run else None,
        run_id=row.run_id,
        is_reported=row.reported_at is not None,
    )


def _archived(counts: str) -> int:
    """The accepted messages of an archived campaign, whose counts by status are stored."""
    by_connection = orjson.loads(counts).values()
    return sum(by_status.get(RecipientStatus.SENT.value, 0) for by_status in by_connection)
