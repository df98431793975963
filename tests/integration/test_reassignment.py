"""Recipients of a connection that is down move to those that work."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.outbox import Campaigns, Database, Outbox, Settled
from mailsluice.outbox.reassignment import reassign
from mailsluice.outbox.schema import recipients
from mailsluice.status import RecipientStatus


@pytest.fixture
def outbox(database: Database) -> Outbox:
    """Ten recipients of `down`, one of `up`."""
    campaigns = Campaigns(database)
    record = campaigns.register("spring", {})
    emails = [f"user{i}@example.com" for i in range(11)]
    chunk = pd.DataFrame({"email": emails, "connection": ["down"] * 10 + ["up"], "variables": "{}"})
    campaigns.store_audience(record.id, [chunk], [])
    return Outbox(database, record.id)


def connections(database: Database) -> Counter[tuple[str, str | None]]:
    with database.read() as connection:
        query = sa.select(recipients.c.connection, recipients.c.reassigned_from)
        return Counter((row[0], row[1]) for row in connection.execute(query))


def test_they_move_in_exact_proportion_and_say_where_they_came_from(
    database: Database, outbox: Outbox
) -> None:
    shares = {"up": Decimal("0.75"), "other": Decimal("0.25")}
    assert reassign(database, 1, "down", shares) == {"up": 8, "other": 2}
    assert connections(database) == {("up", None): 1, ("up", "down"): 8, ("other", "down"): 2}


def test_who_was_attempted_stays_on_its_connection(database: Database, outbox: Outbox) -> None:
    with database.write() as transaction:
        first, second, _third = outbox.claim(transaction, "down", 3)
        deferred = RecipientStatus.DEFERRED
        outbox.settle(transaction, [Settled(first.id, deferred, 1, 450, "later", 60.0)])
        outbox.release(transaction, [second.id])  # claimed, but not attempted
    assert reassign(database, 1, "down", {"up": Decimal(1)}) == {"up": 8}
    assert connections(database)["down", None] == 2  # the deferred one, and the one being sent


def test_a_second_move_keeps_the_first_origin(database: Database, outbox: Outbox) -> None:
    reassign(database, 1, "down", {"up": Decimal(1)})
    reassign(database, 1, "up", {"third": Decimal(1)})
    assert connections(database) == {("third", "down"): 10, ("third", "up"): 1}
