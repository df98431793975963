"""The time zones of a campaign's recipients, where its sending window applies in them.

The launch stores the recipients of a zone together, so that a zone is a range of ids: no column and
no index of its own is needed to claim the recipients of the zones that are open.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.schema import campaign_zones


class ZonePart(NamedTuple):
    """The recipients of one time zone: those of the campaign with an id in a range."""

    zone: str
    """The zone's name; empty for the sending window's own zone."""
    recipients: int
    """Recipients at the launch."""
    after_id: int
    """Below the id of the first one."""
    last_id: int


class Zones:
    """The `campaign_zones` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, campaign_id: int) -> list[ZonePart]:
        """The campaign's zones in the order of ids; none where its window is not by zone."""
        columns = campaign_zones.c
        query = sa.select(columns.zone, columns.recipients, columns.last_id)
        query = query.where(columns.campaign_id == campaign_id).order_by(columns.number)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        ends = [0, *(row.last_id for row in rows)]
        return [ZonePart(*row[:2], after, row[2]) for after, row in zip(ends, rows, strict=False)]


def record_zones(
    transaction: sa.Connection, recipients: sa.Table, campaign_id: int, counts: Mapping[str, int]
) -> None:
    """Record the zones of a campaign's recipients, given in the order of their ids."""
    if not counts:
        return
    place = sa.func.row_number().over(order_by=recipients.c.id).label("place")
    numbered = sa.select(recipients.c.id, place).where(recipients.c.campaign_id == campaign_id)
    rows = numbered.subquery()
    ends = list(accumulate(counts.values()))
    query = sa.select(rows.c.id).where(rows.c.place.in_(ends)).order_by(rows.c.place)
    last_ids = transaction.execute(query).scalars()
    transaction.execute(
        sa.insert(campaign_zones),
        [
            {
                "campaign_id": campaign_id,
                "number": number,
                "zone": zone,
                "recipients": count,
                "last_id": last_id,
            }
            for number, ((zone, count), last_id) in enumerate(
                zip(counts.items(), last_ids, strict=True), start=1
            )
        ],
    )
