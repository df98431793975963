"""A database of before moves were recorded: what its rows say about them is taken over."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.core.moves import Move, MoveReason
from mailsluice.store import Campaigns, Database
from tests.integration.old_schema import old_schema

ROWS = [("new", None)] * 2 + [("old", "new")] * 3 + [("old", "down"), ("other", "down")]


def test_moves_of_campaigns_launched_before_are_known(empty_database_url: str) -> None:
    with old_schema(empty_database_url, "0008") as transaction:
        for statement in (
            "INSERT INTO campaigns (id, name, status, content, created_at, accepted, read_rows)"
            " VALUES (1, 'spring', 'ready', '{}', 0, 7, 7)",
            "INSERT INTO routes (campaign_id, connection, position, assigned)"
            " VALUES (1, 'new', 0, 5), (1, 'old', 1, 0), (1, 'other', 2, 0), (1, 'down', 3, 2)",
            "INSERT INTO warm_up_plans (campaign_id, connection, day, planned)"
            " VALUES (1, 'new', CURRENT_DATE, 2)",
        ):
            transaction.execute(sa.text(statement.replace(":", r"\:")))
        insert = sa.text(
            "INSERT INTO recipients (campaign_id, email, connection, reassigned_from, status,"
            " variables) VALUES (1, :email, :now, :before, 'pending', '{}')"
        )
        rows = [
            {"email": f"user{i}@example.com", "now": now, "before": before}
            for i, (now, before) in enumerate(ROWS)
        ]
        transaction.execute(insert, rows)
    with Database(empty_database_url) as database:
        assert Campaigns(database).moves(1) == [
            Move("down", "old", MoveReason.DOWN, 1, 2),
            Move("down", "other", MoveReason.DOWN, 1, 1),
            Move("new", "old", MoveReason.WARM_UP, 3, 5),
        ]
