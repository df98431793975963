"""A small stored campaign over two connections, and what senders do to its recipients."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import sqlalchemy as sa

from mailsluice.campaign import Campaign
from mailsluice.core.status import RecipientStatus
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import Verification
from mailsluice.store import (
    Campaigns,
    Claimed,
    Database,
    History,
    Launches,
    Outbox,
    RouteRecord,
    Settled,
)
from mailsluice.store.schema import recipients


def campaign(name: str = "spring") -> Campaign:
    return Campaign.model_validate(
        {
            "name": name,
            "recipients": {"path": "recipients.csv"},
            "message": {
                "sender": "Nachrichten <news@b\u00fccher.example>",
                "subject": "Hi",
                "text": "Hello",
            },
            "strategy": "percentage",
            "routes": [{"connection": "a", "percent": 50}, {"connection": "b", "percent": 50}],
        }
    )


def store(database: Database, number: int = 8, name: str = "spring") -> Outbox:
    """Launch a campaign with recipients alternating between a and b, and two rejected rows."""
    store = Campaigns(database)
    document = campaign(name)
    record = store.register(name, launch.content(document))
    frame = pd.DataFrame(
        {
            "email": [f"user{i}@example.com" for i in range(number)],
            "connection": [("a", "b")[i % 2] for i in range(number)],
            "variables": ["{}"] * number,
        }
    )
    rejected = pd.DataFrame(
        {
            "row": [3, 5],
            "email": ["nobody", "USER1@example.com"],
            "reason": ["invalid", "duplicate"],
            "detail": ["no @", ""],
        }
    )
    Launches(database).store_audience(record.id, [frame], [rejected])
    Launches(database).finish(
        record.id,
        read_rows=number + 2,
        accepted=number,
        rejected={"invalid": 1, "duplicate": 1},
        assigned=[RouteRecord("a", "50", (number + 1) // 2), RouteRecord("b", "50", number // 2)],
        digest="d",
    )
    return Outbox(database, record.id)


def claim(database: Database, outbox: Outbox, limit: int = 10) -> list[Claimed]:
    """Claim recipients of connection a: user0, user2, ..."""
    with database.write() as transaction:
        return outbox.claim(transaction, "a", limit)


def settle(database: Database, outbox: Outbox, settled: Iterable[Settled]) -> None:
    with database.write() as transaction:
        outbox.settle(transaction, list(settled))


def make_uncertain(database: Database, outbox: Outbox, number: int) -> None:
    settle(
        database,
        outbox,
        (
            Settled(
                row.id,
                RecipientStatus.UNCERTAIN,
                1,
                reply="lost",
                history=History("a", "body", "uncertain"),
            )
            for row in claim(database, outbox, number)
        ),
    )


def states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        found = connection.execute(sa.select(recipients.c.email, recipients.c.status))
        return {email.removesuffix("@example.com"): status for email, status in found}


def execute(database: Database, statement: sa.Executable) -> None:
    with database.write() as transaction:
        transaction.execute(statement)


def verified(database: Database, name: str = "spring") -> Verification:
    return accounts.verify(accounts.tally(database, name))
