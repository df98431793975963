"""A campaign that ended long ago, and what is left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pyarrow import parquet

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.operations.housekeeping import Kept, clearing, keep_house
from mailsluice.store import Campaigns, Database, Outbox, Settled
from mailsluice.store.archive_rows import ArchiveRows
from mailsluice.store.schema import attempts, bounces, campaigns, deliveries, recipients, rejects
from tests.integration.accounts_fixtures import claim, execute, make_uncertain, settle, store

DAY = 86_400.0
PEOPLE = 11
GROWING = (recipients, attempts, rejects, deliveries)
NOTHING: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in GROWING}
_ARRIVED = {
    "connection": "a",
    "rank": 2,
    "at": 9.0,
    "state": "delivered",
    "failure": "",
    "reply": "250 OK",
    "status": "",
    "mailbox_provider": "Gmail",
    "delivered_at": 9.0,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks small, so that a campaign of a few recipients has several."""
    monkeypatch.setattr(ArchiveRows.read, "__defaults__", (3,))
    monkeypatch.setattr(clearing.clear, "__defaults__", (4,))


def old_campaign(database: Database, name: str = "spring", number: int = PEOPLE) -> Outbox:
    """A campaign that ended 500 days ago: two uncertain, one sent, the others cancelled."""
    outbox = store(database, number, name)
    make_uncertain(database, outbox, 2)
    (taken,) = claim(database, outbox, 1)
    settle(database, outbox, [Settled(taken.id, RecipientStatus.SENT, 1, 250, "2.0.0 ok")])
    outbox.cancel()
    arrived = {"recipient_id": taken.id, "campaign_id": outbox._campaign_id, **_ARRIVED}
    execute(database, sa.insert(deliveries).values(arrived))
    Campaigns(database).set_status(outbox._campaign_id, CampaignStatus.COMPLETED)
    of_this = campaigns.c.id == outbox._campaign_id
    ended = {"ended_at": campaigns.c.ended_at - 500 * DAY}
    execute(database, sa.update(campaigns).where(of_this).values(ended))
    return outbox


def archive(database: Database, folder: Path | None, **options: Any) -> Kept:
    return keep_house(database, keep_days=400, folder=folder, owner="a run", **options)


def rows(database: Database, table: sa.Table) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        found = connection.execute(sa.select(table).order_by(*table.primary_key))
        return [tuple(row) for row in found]


def archived_rows(folder: str, table: sa.Table) -> list[tuple[Any, ...]]:
    found = parquet.read_table(Path(folder) / f"{table.name}.parquet")
    return sorted(tuple(row.values()) for row in found.to_pylist())


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: rows(database, table) for table in GROWING}


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def bounce(number: int, email: str, at: float) -> Bounce:
    return Bounce(
        key=f"k{number}",
        email=email,
        kind=BounceKind.SOFT,
        status="4.2.2",
        detail="full",
        source="mailbox",
        at=at,
        connection="a",
        campaign_id=None,
        recipient_id=None,
    )


def all_bounces(database: Database) -> list[sa.Row[Any]]:
    with database.read() as connection:
        return list(connection.execute(sa.select(bounces).order_by(bounces.c.at)))
