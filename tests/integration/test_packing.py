"""Tables of ended campaigns are packed by housekeeping, on PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus
from mailsluice.operations import accounts
from mailsluice.operations.housekeeping import Kept, keep_house
from mailsluice.store import Campaigns, Database, Outbox, packing
from mailsluice.store.schema import attempts, campaigns, recipients
from tests.integration.accounts_fixtures import claim, execute, make_uncertain, store
from tests.integration.test_campaign_tables import reading

DAY = 86_400.0
INDEX = "ix_recipients_claim_1"


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("mailsluice.store.campaign_tables.FROM_RECIPIENTS", 1)
    return "postgresql"


def ended(database: Database, number: int = 8, *, days_ago: float = 2) -> Outbox:
    """A campaign that has ended, with two uncertain recipients; the others are cancelled."""
    outbox = store(database, number)
    make_uncertain(database, outbox, 2)
    outbox.cancel()
    Campaigns(database).set_status(1, CampaignStatus.COMPLETED)
    ago = {"ended_at": campaigns.c.ended_at - days_ago * DAY}
    execute(database, sa.update(campaigns).values(ago))
    return outbox


def keep(database: Database, folder: Path | None) -> Kept:
    return keep_house(database, keep_days=400, folder=folder, owner="a run")


def rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return [
            connection.execute(sa.select(table).order_by(table.c.id)).all()
            for table in (recipients, attempts)
        ]


def scalar(database: Database, query: str) -> Any:
    with database.read() as connection:
        return connection.exec_driver_sql(query).scalar_one()


def is_packed(database: Database) -> bool:
    return scalar(database, f"SELECT to_regclass('{INDEX}')") is None


SIZE = "SELECT pg_table_size('recipients_1') + pg_indexes_size('recipients_1')"


def test_an_ended_campaign_has_the_same_rows_in_less_space(
    database: Database, tmp_path: Path
) -> None:
    ended(database, 4_000)
    before, size = rows(database), scalar(database, SIZE)
    kept = keep(database, tmp_path)
    assert kept.summary() == "no campaign ended more than 400 days ago; 1 campaign packed"
    assert is_packed(database)
    assert scalar(database, SIZE) < 0.7 * size
    assert rows(database) == before
    assert keep(database, tmp_path).summary().startswith("nothing to do")


def test_a_plan_packs_nothing(database: Database) -> None:
    ended(database)
    keep(database, None)
    assert not is_packed(database)


def test_a_campaign_that_ended_just_now_is_not_packed(database: Database, tmp_path: Path) -> None:
    ended(database, days_ago=0.5)
    keep(database, tmp_path)
    assert not is_packed(database)


def test_a_campaign_is_packed_only_while_it_is_ended(database: Database) -> None:
    store(database, 8)
    assert packing.unpacked(database) == set()
    with pytest.raises(sa.exc.DBAPIError, match="campaign 1 has not ended"):
        packing.pack(database, 1)


def test_a_pack_that_is_killed_changes_nothing(database: Database) -> None:
    ended(database)
    before = rows(database)
    with database.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.select(sa.func.mailsluice_pack_tables(1)))
        transaction.rollback()
    assert not is_packed(database)
    assert rows(database) == before
    packing.pack(database, 1)
    assert rows(database) == before


def test_a_reader_keeps_a_table_from_being_packed_until_the_next_run(
    database: Database, tmp_path: Path
) -> None:
    ended(database)
    with reading(database, "SELECT count(*) FROM recipients"):
        kept = keep(database, tmp_path)
    assert "held by another process" in kept.markdown()
    assert not kept.troubled
    assert not is_packed(database)
    keep(database, tmp_path)
    assert is_packed(database)


async def test_uncertain_recipients_of_a_packed_campaign_are_sent_to_again(
    database: Database, tmp_path: Path
) -> None:
    outbox = ended(database)
    keep(database, tmp_path)
    await accounts.resolve_uncertain(
        database, "spring", accounts.Action.RESEND, owner="operator", home=tmp_path
    )
    assert not is_packed(database)
    assert [row.email for row in claim(database, outbox)] == [
        "user0@example.com",
        "user2@example.com",
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_a_dropped_campaign_leaves_nothing_in_the_catalogue(
    database: Database, packed: bool
) -> None:
    query = "SELECT " + " + ".join(
        f"(SELECT count(*) FROM pg_{name})" for name in ("class", "type", "constraint", "attrdef")
    )
    before = scalar(database, query)
    ended(database)
    if packed:
        packing.pack(database, 1)
    assert scalar(database, query) > before
    execute(database, sa.delete(campaigns))
    assert scalar(database, query) == before
