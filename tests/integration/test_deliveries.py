"""Counting the mail of campaigns for a comparison, on every database."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.operations.accounts import LedgerError
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.store import Campaigns, Database
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.schema import bounces, campaigns, warm_up_plans

EVERYBODY = [
    # id, connection, status, attempts, code, history of verdicts, fields
    (1, "a", "sent", 1, 250, []),
    (2, "a", "sent", 2, 250, ["deferred"]),
    (3, "a", "sent", 3, 250, ["deferred", "deferred"]),
    (4, "a", "deferred", 1, 450, ["deferred"]),
    (5, "a", "failed", 1, 550, ["failed"]),
    (6, "a", "failed", 2, 550, ["deferred", "failed"]),  # counts as both
    (7, "a", "cancelled", 1, 450, ["deferred"]),  # its first attempt is known all the same
    (8, "a", "suppressed", 1, 450, ["deferred"]),
    (9, "a", "sending", 1, 450, ["deferred"]),
    # Nobody tried them.
    (10, "a", "pending", 0, None, []),
    (11, "a", "deferred", 0, None, []),  # waits for its day of a warm-up
    (12, "a", "cancelled", 0, None, []),
    (13, "a", "failed", 0, None, []),  # cannot be rendered
    # Nobody knows.
    (14, "a", "uncertain", 1, None, ["uncertain"]),
    (15, "a", "sent", 1, None, ["uncertain"]),  # assumed sent
    (16, "a", "sent", 2, 250, ["uncertain", "resend"]),
]


def launched(database: Database, name: str = "spring") -> int:
    """A launched campaign without sent mail."""
    return Campaigns(database).register(name, {}).id


def add(database: Database, campaign_id: int, *rows: tuple[Any, ...], **fields: Any) -> None:
    host = fields.pop("domain", "a.example")
    tables = tables_of(database, campaign_id)
    with database.write() as transaction:
        for key, connection, status, tries, code, history in rows:
            transaction.execute(
                sa.insert(tables.recipients).values(
                    id=key,
                    campaign_id=campaign_id,
                    email=f"user{key}@{host}",
                    connection=connection,
                    status=status,
                    variables="{}",
                    attempts=tries,
                    code=code,
                    **fields,
                )
            )
            for verdict in history:
                transaction.execute(
                    sa.insert(tables.attempts).values(
                        recipient_id=key,
                        at=1.0,
                        connection=connection,
                        phase="rcpt",
                        verdict=verdict,
                        reply="",
                    )
                )


def bounce(database: Database, campaign_id: int, recipient_id: int | None, kind: str) -> None:
    with database.write() as transaction:
        transaction.execute(
            sa.insert(bounces).values(
                key=f"{recipient_id} {kind}",
                email="user@a.example",
                kind=kind,
                status="5.1.1",
                detail="",
                source="",
                at=1.0,
                campaign_id=campaign_id,
                recipient_id=recipient_id,
            )
        )


def counted(counts: pd.DataFrame, connection: str = "a", domain: str = "a.example") -> list[int]:
    (row,) = counts[(counts["connection"] == connection) & (counts["provider"] == domain)].to_dict(
        "records"
    )
    names = ["mail", "accepted", "deferred", "failed", "bounced", "moved", "uncertain"]
    return [row[name] for name in names]


def test_recipients_are_counted_by_their_first_and_last_attempt(
    database: Database,
) -> None:
    campaign_id = launched(database)
    add(database, campaign_id, *EVERYBODY)
    counts = observe(database, ["spring"]).counts
    assert counted(counts) == [9, 3, 7, 2, 0, 0, 3]


def test_hard_bounces_count_once_for_each_recipient(database: Database) -> None:
    campaign_id = launched(database)
    add(database, campaign_id, *EVERYBODY)
    for recipient_id, kind in ((1, "hard"), (5, "hard"), (2, "soft"), (3, "complaint")):
        bounce(database, campaign_id, recipient_id, kind)
    bounce(database, campaign_id, None, "hard")
    assert counted(observe(database, ["spring"]).counts)[4] == 2


def test_counts_are_separate_by_domain_connection_and_campaign(database: Database) -> None:
    first, second = launched(database), launched(database, "summer")
    launched(database, "nobody")
    add(database, first, (1, "a", "sent", 1, 250, []), domain="a.example")
    add(database, first, (2, "b", "sent", 1, 250, []), domain="a.example")
    add(database, first, (3, "a", "sent", 1, 250, []), domain="b.example")
    add(database, second, (4, "a", "sent", 1, 250, []), domain="a.example")
    counts = observe(database, ["spring", "summer", "spring"]).counts
    keys = list(counts[["campaign", "provider", "connection"]].itertuples(index=False, name=None))
    assert keys == [
        ("spring", "a.example", "a"),
        ("spring", "a.example", "b"),
        ("spring", "b.example", "a"),
        ("summer", "a.example", "a"),
    ]
    assert list(counts["mail"]) == [1, 1, 1, 1]
    assert set(observe(database, ["spring"], ["b"]).counts["connection"]) == {"b"}


def test_moved_recipients_are_counted_separately(database: Database) -> None:
    campaign_id = launched(database)
    add(database, campaign_id, (1, "a", "sent", 1, 250, []))
    add(database, campaign_id, (2, "a", "failed", 1, 550, ["failed"]), reassigned_from="b")
    assert counted(observe(database, ["spring"]).counts) == [1, 1, 0, 0, 0, 1, 0]


def test_unfinished_campaigns_and_warm_ups_are_named(
    database: Database,
) -> None:
    campaign_id, done = launched(database), launched(database, "done")
    for i, number in enumerate((campaign_id, done)):
        add(database, number, (2 * i + 1, "a", "sent", 1, 250, []))
        add(database, number, (2 * i + 2, "b", "sent", 1, 250, []))
    with database.write() as transaction:
        transaction.execute(
            sa.update(campaigns).where(campaigns.c.id == done).values(status="completed")
        )
        for connection, days in (("a", 3), ("b", 1)):  # b had room for all on the first day
            for day in range(1, days + 1):
                transaction.execute(
                    sa.insert(warm_up_plans).values(
                        campaign_id=campaign_id,
                        connection=connection,
                        day=date(2026, 1, day),
                        planned=1,
                    )
                )
    found = observe(database, ["spring", "done"])
    assert found.unfinished == ["spring"]
    assert found.warming == {"spring": ["a"]}
    assert observe(database, ["spring", "done"], ["b"]).warming == {}


def test_unknown_names_are_refused_with_the_known_ones(database: Database) -> None:
    campaign_id = launched(database)
    with pytest.raises(OutboxError, match="there is no campaign 'autumn'"):
        observe(database, ["spring", "autumn"])
    with pytest.raises(LedgerError, match="no mail of these campaigns has been sent yet"):
        observe(database, ["spring"])
    add(database, campaign_id, (1, "a", "sent", 1, 250, []), (2, "b", "sent", 1, 250, []))
    with pytest.raises(LedgerError, match="went over 'c', but over 'a', 'b'"):
        observe(database, ["spring"], ["a", "c"])
