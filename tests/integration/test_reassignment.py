"""Moving the recipients of a connection that is down."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import RecipientStatus
from mailsluice.store import (
    Campaigns,
    Database,
    Launches,
    Outbox,
    Settled,
)
from mailsluice.store.reassignment import reassign
from mailsluice.store.schema import recipients
from tests.integration.campaign_fixtures import Sender, campaign, people


@pytest.fixture
def outbox(database: Database) -> Outbox:
    """Ten recipients of `down`, one of `up`."""
    campaigns = Campaigns(database)
    record = campaigns.register("spring", {})
    emails = [f"user{i}@example.com" for i in range(11)]
    chunk = pd.DataFrame({"email": emails, "connection": ["down"] * 10 + ["up"], "variables": "{}"})
    Launches(database).store_audience(record.id, [chunk], [])
    return Outbox(database, record.id)


def connections(database: Database) -> Counter[tuple[str, str | None]]:
    with database.read() as connection:
        query = sa.select(recipients.c.connection, recipients.c.reassigned_from)
        return Counter((row[0], row[1]) for row in connection.execute(query))


def test_recipients_move_in_exact_proportion_and_keep_their_first_connection(
    database: Database, outbox: Outbox
) -> None:
    shares = {"up": Decimal("0.75"), "other": Decimal("0.25")}
    assert reassign(database, 1, "down", shares) == {"up": 8, "other": 2}
    assert connections(database) == {("up", None): 1, ("up", "down"): 8, ("other", "down"): 2}


def test_attempted_recipients_stay_on_their_connection(database: Database, outbox: Outbox) -> None:
    with database.write() as transaction:
        first, second, _third = outbox.claim(transaction, "down", 3)
        deferred = RecipientStatus.DEFERRED
        outbox.settle(transaction, [Settled(first.id, deferred, 1, 450, "later", 60.0)])
        outbox.release(transaction, [second.id])  # claimed, but not attempted
    assert reassign(database, 1, "down", {"up": Decimal(1)}) == {"up": 8}
    down = Move("down", "up", MoveReason.DOWN, 8, 10)  # the two that stay keep their share
    assert Campaigns(database).moves(1) == [down]
    assert connections(database)["down", None] == 2  # the deferred one, and the one being sent


def test_a_continued_campaign_keeps_the_shares_of_its_launch(
    database: Database, tmp_path: Path
) -> None:
    """On the 14th of 28 days a share from 10 to 50 percent is 30; on the 28th it still is."""
    growth = {"grows_to": 50, "grows_from": "2026-01-05", "grows_over_days": 28}
    document = campaign(
        tmp_path,
        people(1_000),
        strategy="percentage",
        routes=[
            {"connection": "new", "percent": 10, **growth},
            {"connection": "a", "percent": 60},
            {"connection": "b", "percent": 30},
        ],
    )
    launched = {"new": Decimal("0.3"), "a": Decimal("0.46666667"), "b": Decimal("0.23333333")}
    for day in (date(2026, 1, 19), date(2026, 2, 2)):
        run = Sender(database, tmp_path, day=day).prepare(document)
        try:
            assert run._rule_book.shares() == launched
            routes = run.campaigns.routes(run.id)
            assert [route.assigned for route in routes] == [300, 467, 233]
            assert [route.percent for route in routes] == ["30", "46.666667", "23.333333"]
        finally:
            asyncio.run(run.close())


def test_a_second_move_keeps_the_first_connection(database: Database, outbox: Outbox) -> None:
    reassign(database, 1, "down", {"up": Decimal(1)})
    reassign(database, 1, "up", {"third": Decimal(1)})
    assert connections(database) == {("third", "down"): 10, ("third", "up"): 1}
