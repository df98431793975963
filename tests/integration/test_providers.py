"""Who hosts each recipient's mailbox, as stored by a launch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign.queries import statistics
from mailsluice.reports.deliveries.queries import count_providers
from mailsluice.store import Campaigns, Claimed, Database, Launches, Outbox, Providers, Settled
from mailsluice.store.packing import index_claims
from mailsluice.store.schema import recipients
from tests.integration.old_schema import old_schema
from tests.integration.test_bulk_load import audience, new_campaign
from tests.integration.test_campaign_tables import age, archive


def launch(database: Database, campaign_id: int, rows: pd.DataFrame, **more: object) -> Outbox:
    """Launch a campaign with these recipients."""
    launches = Launches(database)
    launches.store_audience(campaign_id, [rows], [])
    launches.finish(
        campaign_id,
        read_rows=len(rows),
        accepted=len(rows),
        rejected={},
        assigned=[],
        digest="",
        **more,  # type: ignore[arg-type]
    )
    return Outbox(database, campaign_id)


def claim(database: Database, outbox: Outbox) -> list[Claimed]:
    with database.write() as transaction:
        return outbox.claim(transaction, "red", 10)


def test_a_claim_says_who_hosts_the_mailbox(database: Database) -> None:
    campaign_id = new_campaign(database)
    rows = audience(3).assign(provider=pd.Series([2, 1, 1], dtype="int16"))

    outbox = launch(database, campaign_id, rows, providers={"google": 2, "b.net": 1})

    assert [row.provider for row in claim(database, outbox)] == [2, 1, 1]
    assert Providers(database).of(campaign_id) == {1: "google", 2: "b.net"}
    assert Providers(database).counts(campaign_id) == {"google": 2, "b.net": 1}
    assert Providers(database).of(campaign_id + 1) == {}


def test_the_provider_of_a_recipient_may_be_unknown(database: Database) -> None:
    outbox = launch(database, new_campaign(database), audience(2))
    assert [row.provider for row in claim(database, outbox)] == [0, 0]


def test_a_launch_replaces_the_providers_of_an_interrupted_one(database: Database) -> None:
    campaign_id = new_campaign(database)
    Providers(database).record(campaign_id, {"google": 5, "b.net": 4})
    launch(database, campaign_id, audience(2), providers={"apple": 2})
    assert Providers(database).of(campaign_id) == {1: "apple"}


def test_an_archive_has_the_providers(database: Database, tmp_path: Path) -> None:
    rows = audience(2).assign(provider=pd.Series([1, 2], dtype="int16"))
    campaign_id = new_campaign(database)
    outbox = launch(database, campaign_id, rows, providers={"google": 1, "b.net": 1})
    (first, _) = claim(database, outbox)
    with database.write() as transaction:
        outbox.settle(transaction, [Settled(first.id, RecipientStatus.SENT, 1, 250, "ok")])
    age(database, outbox)
    before = count_providers(database, campaign_id)

    assert not archive(database, tmp_path).troubled

    folder = next(tmp_path.glob("*-campaign-*"))
    assert parquet.read_table(folder / "recipients.parquet")["provider"].to_pylist() == [1, 2]
    kept = parquet.read_table(folder / "campaign_providers.parquet")["provider"].to_pylist()
    assert kept == ["google", "b.net"]
    assert before.of("google").accepted == 1
    assert count_providers(database, campaign_id) == before
    assert statistics(database, campaign_id).providers == before


def test_a_campaign_of_the_version_before_is_sent_on_and_the_next_has_providers(
    empty_database_url: str, kind: str
) -> None:
    insert = "INSERT INTO {} (campaign_id, email, connection, status, variables) VALUES "
    values = "(1, 'a@b.de', 'red', 'sent', '{}'), (1, 'b@b.de', 'red', 'pending', '{}')"
    with old_schema(empty_database_url, "0016") as transaction:
        transaction.exec_driver_sql(
            "INSERT INTO campaigns (name, status, content, created_at, accepted, read_rows)"
            " VALUES ('half', 'resolving', '{}', 0, 2, 2)"
        )
        if kind == "sqlite":
            transaction.exec_driver_sql(insert.format("recipients") + values)
        else:  # tables of its own, with the index that they had
            transaction.exec_driver_sql("SELECT mailsluice_create_tables(1)")
            transaction.exec_driver_sql(insert.format("recipients_1") + values)
            transaction.exec_driver_sql("SELECT mailsluice_attach_tables(1)")
        transaction.exec_driver_sql("UPDATE campaigns SET status = 'sending'")
    with Database(empty_database_url) as database:
        outbox = Outbox(database, 1)
        (row,) = claim(database, outbox)
        assert (row.email, row.provider) == ("b@b.de", 0)
        with database.write() as transaction:
            outbox.settle(transaction, [Settled(row.id, RecipientStatus.SENT, 1, 250, "ok")])
            if kind == "postgresql":
                index_claims(transaction, 1)
        assert outbox.counts().of(RecipientStatus.SENT) == 2
        assert Campaigns(database).get("half").no_mail_server == 0
        rows = audience(1).assign(provider=pd.Series([1], dtype="int16"))
        following = launch(database, new_campaign(database), rows, providers={"google": 1})
        assert [row.provider for row in claim(database, following)] == [1]


@pytest.mark.parametrize("provider", [None, 3])
def test_a_row_inserted_by_hand_keeps_its_provider(database: Database, provider: int) -> None:
    """On PostgreSQL a rule passes it to the table of small campaigns."""
    campaign_id = new_campaign(database)
    values = {"email": "a@b.de", "connection": "a", "status": "pending", "variables": "{}"}
    statement = sa.insert(recipients).values(campaign_id=campaign_id, provider=provider, **values)
    with database.write() as transaction:
        inserted = transaction.execute(statement.returning(recipients.c.id)).scalar_one()
        found = sa.select(recipients.c.provider).where(recipients.c.id == inserted)
        assert transaction.execute(found).scalar_one() == provider


def test_the_index_for_claims_has_the_provider(database: Database) -> None:
    """A claim for one provider reads no row of another one."""
    launch(database, new_campaign(database), audience(2))
    inspector = sa.inspect(database.engine)
    columns = {
        index["name"]: index["column_names"]
        for table in ("recipients", "recipients_shared", "recipients_1")
        if inspector.has_table(table)
        for index in inspector.get_indexes(table)
    }
    claims = [of for name, of in columns.items() if str(name).startswith("ix_recipients_claim")]
    assert [of[-3:] for of in claims] == [["connection", "id", "provider"]] * len(claims)
    assert len(claims) == (1 if database.is_sqlite else 2)
