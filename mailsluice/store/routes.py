"""The routes of launched campaigns: what each connection was assigned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from mailsluice.store.schema import routes


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """One row of `routes`."""

    connection: str
    percent: str | None
    """The exact share on the day of the launch; routes with None have equal shares."""
    assigned: int
    """Recipients."""


def launched_shares(records: Sequence[RouteRecord]) -> dict[str, Decimal]:
    """The shares at the launch, as fractions; their sum is 1 within 28 digits."""
    equal = sum(record.percent is None for record in records)
    return {
        record.connection: Decimal(1) / equal
        if record.percent is None
        else Decimal(record.percent) / 100
        for record in records
    }


def record_routes(
    transaction: sa.Connection, campaign_id: int, records: Sequence[RouteRecord]
) -> None:
    """Write a campaign's routes, in its order."""
    rows = [
        {
            "campaign_id": campaign_id,
            "connection": record.connection,
            "position": position,
            "percent": record.percent,
            "assigned": record.assigned,
        }
        for position, record in enumerate(records)
    ]
    if rows:
        transaction.execute(sa.insert(routes), rows)


def read_routes(connection: sa.Connection, campaign_id: int) -> list[RouteRecord]:
    """A campaign's routes, in its order."""
    query = (
        sa.select(routes.c.connection, routes.c.percent, routes.c.assigned)
        .where(routes.c.campaign_id == campaign_id)
        .order_by(routes.c.position)
    )
    return [RouteRecord(*row) for row in connection.execute(query)]
