"""A campaign with an order: the launch stores recipients so that claims take the first ones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mailsluice.campaign import Campaign
from mailsluice.core.errors import AudienceError
from mailsluice.operations import launch
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, Outbox
from tests.databases import no_database

DAY = date(2026, 1, 5)
OCCASION = launch.Occasion(DAY, datetime(2026, 1, 5, 12, tzinfo=UTC))
ROWS = ["a,2026-01-01", "b,", "c,2026-01-03", "d,2026-01-02", "e,never", "f,2026-01-04"]


def campaign(folder: Path, **fields: Any) -> Campaign:
    path = folder / "recipients.csv"
    lines = [line.replace(",", "@example.com,") for line in ROWS]
    path.write_text("\n".join(["email,last_click", *lines]))
    return Campaign.model_validate(
        {
            "name": "spring",
            "recipients": {"path": str(path)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "round_robin",
            "routes": [{"connection": "red"}, {"connection": "blue"}],
            "batch_size": 1,
            "order_by": "last_click",
            **fields,
        }
    )


def launched(database: Database, document: Campaign) -> dict[str, str]:
    """Launch a campaign; returns whom each connection claims, in order."""
    record = Campaigns(database).register(document.name, launch.content(document))
    with launch.resolve_audience(document, database, no_database) as audience:
        launch.store_audience(database, record.id, document, audience, OCCASION)
    outbox = Outbox(database, record.id)
    with database.write() as transaction:
        return {
            name: "".join(row.email[0] for row in outbox.claim(transaction, name, 10))
            for name in ("red", "blue")
        }


def test_each_connection_claims_the_latest_first(database: Database, tmp_path: Path) -> None:
    claims = launched(database, campaign(tmp_path))
    assert {claims["red"][0], claims["blue"][0]} == {"f", "c"}
    assert {claims["red"][1], claims["blue"][1]} == {"d", "a"}
    assert {claims["red"][2], claims["blue"][2]} == {"b", "e"}


def test_the_order_can_ascend(database: Database, tmp_path: Path) -> None:
    claims = launched(database, campaign(tmp_path, order_descending=False))
    assert {claims["red"][0], claims["blue"][0]} == {"a", "d"}
    assert {claims["red"][2], claims["blue"][2]} == {"b", "e"}  # still last


def test_the_plan_counts_recipients_without_a_place(database: Database, tmp_path: Path) -> None:
    document = campaign(tmp_path)
    connections = {name: Connection(name, "127.0.0.1", 25) for name in ("red", "blue")}
    with launch.resolve_audience(document, database, no_database) as audience:
        plan = plan_launch(document, database, audience, connections, OCCASION)
    assert (
        "order_by 'last_click': these recipients come last: 1 without a value, 1 with a value that"
        " is not among its dates"
    ) in plan.warnings


def test_a_wrong_column_stops_the_launch(database: Database, tmp_path: Path) -> None:
    with pytest.raises(AudienceError, match="did you mean 'last_click'"):
        launched(database, campaign(tmp_path, order_by="last_clicks"))
