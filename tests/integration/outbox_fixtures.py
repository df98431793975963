"""Stored campaigns, and what senders do to their recipients."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.store import Campaigns, Claimed, Database, Launches, Outbox, RouteRecord, Settled
from mailsluice.store.schema import recipients

Store = Callable[..., Outbox]


def audience(number: int, connections: tuple[str, ...] = ("a", "b")) -> pd.DataFrame:
    """Recipients that alternate between the connections."""
    return pd.DataFrame(
        {
            "email": [f"user{i}@example.com" for i in range(number)],
            "connection": [connections[i % len(connections)] for i in range(number)],
            "variables": ['{"first_name":"Ann"}'] * number,
        }
    )


@pytest.fixture
def campaigns(database: Database) -> Campaigns:
    return Campaigns(database)


@pytest.fixture
def stored(database: Database, campaigns: Campaigns) -> Store:
    """Launch a campaign with this many recipients; returns its outbox."""

    def store(number: int = 6, name: str = "spring") -> Outbox:
        record = campaigns.register(name, {"strategy": "single"})
        Launches(database).store_audience(record.id, [audience(number)], [])
        Launches(database).finish(
            record.id,
            read_rows=number,
            accepted=number,
            rejected={},
            assigned=[
                RouteRecord("a", "50", (number + 1) // 2),
                RouteRecord("b", "50", number // 2),
            ],
            digest="d",
        )
        return Outbox(database, record.id)

    return store


def claim(
    database: Database, outbox: Outbox, connection: str = "a", limit: int = 10
) -> list[Claimed]:
    with database.write() as transaction:
        return outbox.claim(transaction, connection, limit)


def settle(database: Database, outbox: Outbox, *settled: Settled) -> None:
    with database.write() as transaction:
        outbox.settle(transaction, settled)


def row(database: Database, recipient_id: int) -> sa.Row[tuple[object, ...]]:
    with database.read() as connection:
        return connection.execute(
            sa.select(recipients).where(recipients.c.id == recipient_id)
        ).one()
