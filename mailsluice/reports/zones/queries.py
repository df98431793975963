"""Counting the recipients of each time zone: a range of ids, so one pass over all in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.core.status import OPEN, RecipientStatus
from mailsluice.reports.zones.counts import ZoneCounts
from mailsluice.store.campaign_tables import CampaignTables, tables_of
from mailsluice.store.database import Database
from mailsluice.store.zones import ZonePart, Zones


def zone_counts(database: Database, campaign_id: int) -> list[ZoneCounts]:
    """Count the recipients of each zone; none where the sending window is not by zone."""
    parts = Zones(database).of(campaign_id)
    if not parts:
        return []
    query = _query(tables_of(database, campaign_id), campaign_id)
    with database.read() as connection:
        ranges = [{"after": part.after_id, "last": part.last_id} for part in parts]
        found = [connection.execute(query, ids).all() for ids in ranges]
    return [_counts(part, rows) for part, rows in zip(parts, found, strict=True)]


def _query(tables: CampaignTables, campaign_id: int) -> sa.Select[Any]:
    recipients = tables.recipients.c
    is_sent = recipients.status == RecipientStatus.SENT.value
    is_open = recipients.status.in_([status.value for status in OPEN])
    sent_at = sa.case((is_sent, recipients.settled_at))
    return (
        sa.select(
            recipients.connection,
            sa.func.sum(sa.case((is_sent, 1), else_=0)).label("sent"),
            sa.func.sum(sa.case((is_open, 1), else_=0)).label("left"),
            sa.func.min(sent_at).label("first_at"),
            sa.func.max(sent_at).label("last_at"),
        )
        .where(
            recipients.campaign_id == campaign_id,
            recipients.id > sa.bindparam("after", type_=sa.BigInteger()),
            recipients.id <= sa.bindparam("last", type_=sa.BigInteger()),
        )
        .group_by(recipients.connection)
    )


def _counts(part: ZonePart, rows: Sequence[sa.Row[Any]]) -> ZoneCounts:
    sent = [row for row in rows if row.sent]
    return ZoneCounts(
        part.zone,
        part.recipients,
        sum(int(row.sent) for row in rows),
        {row.connection: int(row.left) for row in rows if row.left},
        min((row.first_at for row in sent), default=None),
        max((row.last_at for row in sent), default=None),
    )
