"""A database of before moves were recorded: what its rows say about them is taken over."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa

from mailsluice.core.moves import Move, MoveReason
from mailsluice.store import (
    Campaigns,
    Database,
    Launches,
    RouteRecord,
)
from mailsluice.store.schema import warm_up_plans


def test_moves_of_campaigns_launched_before_are_known(database_url: str) -> None:
    with Database(database_url) as database:
        rows = [("new", None)] * 2 + [("old", "new")] * 3 + [("old", "down"), ("other", "down")]
        chunk = pd.DataFrame(rows, columns=["connection", "reassigned_from"]).assign(
            email=[f"user{i}@example.com" for i in range(7)], variables="{}"
        )
        campaigns = Campaigns(database)
        record = campaigns.register("spring", {})
        Launches(database).store_audience(record.id, [chunk], [])
        assigned = {"new": 5, "old": 0, "other": 0, "down": 2}
        Launches(database).finish(
            record.id,
            read_rows=7,
            accepted=7,
            rejected={},
            assigned=[RouteRecord(name, None, number) for name, number in assigned.items()],
            digest="",
        )
        with database.write() as transaction:
            plan = {"connection": "new", "day": sa.func.current_date(), "planned": 2}
            transaction.execute(sa.insert(warm_up_plans).values(campaign_id=record.id, **plan))
            transaction.execute(sa.text("DROP TABLE moves"))
            for column in ("sender_domain", "has_return_paths"):
                transaction.execute(sa.text(f"ALTER TABLE campaigns DROP COLUMN {column}"))
            transaction.execute(sa.text("UPDATE alembic_version SET version_num = '0008'"))
    with Database(database_url) as database:
        assert Campaigns(database).moves(record.id) == [
            Move("down", "old", MoveReason.DOWN, 1, 2),
            Move("down", "other", MoveReason.DOWN, 1, 1),
            Move("new", "old", MoveReason.WARM_UP, 3, 5),
        ]
