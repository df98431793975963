"""Tables of large campaigns on PostgreSQL: found under one name, and nobody waits for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.operations import accounts
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.operations.housekeeping import Kept, keep_house
from mailsluice.reports.campaign.queries import statistics
from mailsluice.store import (
    Bounces,
    Campaigns,
    Database,
    History,
    Launches,
    Outbox,
    Settled,
    campaign_tables,
)
from mailsluice.store.alerts import Alerts
from mailsluice.store.archives import Archives
from mailsluice.store.fates import Fates
from mailsluice.store.schema import campaigns
from mailsluice.store.sent_mail import SentMail
from tests.integration.accounts_fixtures import claim, execute, make_uncertain, settle, store
from tests.integration.old_schema import old_schema
from tests.integration.test_bulk_load import audience, finish

DAY = 86_400.0
PARENT = re.compile(r"\b(?:from|join|into|update|table) (?:recipients|attempts)\b", re.IGNORECASE)


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
def own(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outbox]:
    """Launch a campaign with tables of its own."""

    def launch(name: str = "large", number: int = 8) -> Outbox:
        monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 1)
        return store(database, number, name)

    return launch


@pytest.fixture
def sharing(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outbox]:
    """Launch a campaign that shares the tables of small campaigns."""

    def launch(name: str = "small", number: int = 8) -> Outbox:
        monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 1_000)
        return store(database, number, name)

    return launch


def tables(database: Database) -> set[str]:
    """The tables of recipients and attempts that the database has."""
    return {
        name
        for name in sa.inspect(database.engine).get_table_names()
        if name.startswith(("recipients", "attempts"))
    }


SHARED = {"recipients", "recipients_shared", "attempts", "attempts_shared"}


@contextmanager
def reading(database: Database, statement: str) -> Iterator[None]:
    """Hold the locks of a statement, as a report does that takes for ever."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(statement)
        yield


def age(database: Database, outbox: Outbox) -> None:
    """Let the campaign have ended 500 days ago."""
    outbox.cancel()
    Campaigns(database).set_status(outbox._campaign_id, CampaignStatus.COMPLETED)
    of_this = campaigns.c.id == outbox._campaign_id
    ended = {"ended_at": campaigns.c.ended_at - 500 * DAY}
    execute(database, sa.update(campaigns).where(of_this).values(ended))


def archive(database: Database, folder: Path) -> Kept:
    return keep_house(database, keep_days=400, folder=folder, owner="a run")


def test_campaigns_of_any_size_are_read_under_one_name(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox]
) -> None:
    own("large", 6)
    sharing("small", 4)
    query = "SELECT campaign_id, count(*) FROM recipients GROUP BY 1 ORDER BY 1"
    with database.read() as connection:
        assert [tuple(row) for row in connection.exec_driver_sql(query)] == [(1, 6), (2, 4)]
        ids = connection.exec_driver_sql("SELECT id FROM recipients ORDER BY id").scalars().all()
    assert len(set(ids)) == 10
    assert tables(database) == {*SHARED, "recipients_1", "attempts_1"}


def test_rows_are_inserted_where_a_run_looks_for_them(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox]
) -> None:
    own("large")
    sharing("small")
    statement = sa.text(
        "INSERT INTO recipients (campaign_id, email, connection, status, variables)"
        " VALUES (:id, 'a@example.com', 'a', 'pending', '{}') RETURNING id"
    )
    with database.write() as transaction:
        inserted = transaction.execute(statement, {"id": 2}).scalar_one()
    shared = sa.text("SELECT campaign_id FROM recipients_shared WHERE id = :id")
    with database.read() as connection:
        assert connection.execute(shared, {"id": inserted}).scalar_one() == 2
    with (
        pytest.raises(sa.exc.DBAPIError, match="insert into recipients_1"),
        database.write() as transaction,
    ):
        transaction.execute(statement, {"id": 1})


def test_no_statement_of_a_campaign_names_the_tables_of_all_campaigns(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox], tmp_path: Path
) -> None:
    """Such a statement would plan for every campaign, and lock the tables of each."""
    said: list[str] = []
    sa.event.listen(
        database.engine, "before_cursor_execute", lambda *given: said.append(str(given[2]))
    )
    for launch in (own, sharing):
        outbox = launch(number=12)
        campaign_id = outbox._campaign_id
        record = next(one for one in Campaigns(database).all() if one.id == campaign_id)
        make_uncertain(database, outbox, 1)
        first, second, third = claim(database, outbox, 3)
        settle(
            database,
            outbox,
            [
                Settled(first.id, RecipientStatus.SENT, 1, 250, "2.0.0 ok"),
                Settled(
                    second.id,
                    RecipientStatus.FAILED,
                    1,
                    550,
                    "5.1.1 unknown",
                    history=History("a", "rcpt", "failed"),
                ),
            ],
        )
        with database.write() as transaction:
            outbox.release(transaction, [third.id])
            outbox.next_due_seconds(transaction, "a")
        outbox.in_doubt()
        outbox.columns()
        outbox.counts()
        outbox.suppressed_since()
        Alerts(database).due(campaign_id)
        Bounces(database).suppress_soft(["user1@example.com"])
        SentMail(database).by_id([first.id])
        SentMail(database).by_address(["user1@example.com"], ["xn--bcher-kva.example"])
        accounts.tally(database, record.name)
        statistics(database, campaign_id)
        observe(database, [record.name])
        list(Fates(database, campaign_id).recipients())
        age(database, outbox)
    assert not archive(database, tmp_path).troubled
    assert len(said) > 50
    assert [statement for statement in said if PARENT.search(statement)] == []


def test_a_launch_waits_for_no_reader_and_no_reader_waits_for_a_launch(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox]
) -> None:
    small = sharing()
    with reading(database, "SELECT count(*) FROM recipients"):
        large = own()
        with reading(database, "SELECT count(*) FROM recipients"):
            assert claim(database, large, 2)
            assert claim(database, small, 2)


def test_a_launch_under_way_blocks_nobody(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox]
) -> None:
    small = sharing()
    campaign_id = Campaigns(database).register("large", {}).id
    with database.write() as transaction:
        transaction.execute(sa.select(sa.func.mailsluice_create_tables(campaign_id)))
        transaction.execute(sa.select(sa.func.mailsluice_attach_tables(campaign_id)))
        assert claim(database, small, 2)
        with reading(database, "SELECT count(*) FROM recipients"):
            pass


def test_a_claim_reads_the_next_recipients_alone_as_soon_as_a_campaign_is_launched(
    database: Database, own: Callable[..., Outbox]
) -> None:
    """Without statistics PostgreSQL reads and sorts all recipients of the connection."""
    outbox = own(number=5_000)
    said: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT recipients_1.id"):
            said.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    claim(database, outbox, 10)
    sa.event.remove(database.engine, "before_cursor_execute", note)
    (statement, parameters) = said[-1]
    with database.read() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all())
    assert "Sort" not in plan
    assert "recipients_claim_1" in plan or "pk_recipients_1" in plan


def test_two_large_campaigns_are_launched_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 1)
    ids = [Campaigns(database).register(f"campaign {i}", {}).id for i in range(4)]

    def launch(campaign_id: int) -> None:
        chunks = (audience(500, start) for start in range(0, 3_000, 500))
        Launches(database).store_audience(campaign_id, chunks, [])
        finish(database, campaign_id, 3_000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(launch, ids))
    with database.read() as connection:
        counted = connection.exec_driver_sql("SELECT count(DISTINCT id), count(*) FROM recipients")
        assert tuple(counted.one()) == (12_000, 12_000)


def test_a_launch_repeated_with_fewer_recipients_leaves_no_table(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 10)
    campaign_id = Campaigns(database).register("spring", {}).id
    Launches(database).store_audience(campaign_id, [audience(10)], [])
    assert "recipients_1" in tables(database)
    Launches(database).store_audience(campaign_id, [audience(9)], [])
    finish(database, campaign_id, 9)
    assert tables(database) == SHARED
    assert Outbox(database, campaign_id).counts().of() == 9


def test_when_many_campaigns_have_tables_further_ones_share(
    database: Database, own: Callable[..., Outbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_tables, "MOST_CAMPAIGNS", 1)
    outboxes = [own("first"), own("second")]
    assert tables(database) == {*SHARED, "recipients_1", "attempts_1"}
    assert [outbox.counts().of() for outbox in outboxes] == [8, 8]


def test_a_deleted_campaign_leaves_no_table(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox]
) -> None:
    own()
    sharing()
    execute(database, sa.delete(campaigns))
    assert tables(database) == SHARED
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM recipients").scalar_one() == 0


def test_an_archived_campaign_is_dropped_and_others_stay(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox], tmp_path: Path
) -> None:
    age(database, own("old", 20))
    kept = own("young", 4), sharing("small", 4)
    assert archive(database, tmp_path).summary() == "1 of 1 campaign archived, 22 rows deleted"
    assert tables(database) == {*SHARED, "recipients_2", "attempts_2"}
    assert [outbox.counts().of() for outbox in kept] == [4, 4]


def test_a_reader_keeps_a_table_from_being_dropped_until_the_next_run(
    database: Database, own: Callable[..., Outbox], tmp_path: Path
) -> None:
    """Housekeeping gives up soon: all that read the campaigns would wait behind it."""
    age(database, own())
    with reading(database, "SELECT count(*) FROM recipients"):
        (done,) = archive(database, tmp_path).done
    assert "held by another process" in done.trouble
    assert "The next run continues" in done.trouble
    assert "recipients_1" in tables(database)
    assert not archive(database, tmp_path).troubled
    assert tables(database) == SHARED


def test_a_run_killed_after_the_drop_is_continued(
    database: Database, own: Callable[..., Outbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise KilledError

    age(database, own())
    with monkeypatch.context() as patch:
        patch.setattr(Archives, "cleared", killed)
        with pytest.raises(KilledError):
            archive(database, tmp_path)
    assert tables(database) == SHARED
    assert not archive(database, tmp_path).troubled
    assert archive(database, tmp_path).due == 0


def test_recipients_of_returned_mail_are_found_in_all_tables(
    database: Database, own: Callable[..., Outbox], sharing: Callable[..., Outbox]
) -> None:
    own()
    sharing()
    own("another")
    with database.read() as connection:
        query = "SELECT min(id) FROM recipients GROUP BY campaign_id ORDER BY campaign_id"
        ids = connection.exec_driver_sql(query).scalars().all()
    found = {sent.recipient_id: sent.campaign for sent in SentMail(database).by_id([*ids, 10**9])}
    assert found == dict(zip(ids, ("large", "small", "another"), strict=True))
    by_address = SentMail(database).by_address(["USER3@example.com"], ["xn--bcher-kva.example"])
    assert sorted(sent.campaign for sent in by_address) == ["another", "large", "small"]


@pytest.mark.parametrize("of_kind", ["sqlite", "postgresql"])
def test_a_campaign_half_sent_by_the_version_before_is_sent_on(
    of_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its rows stay where they are; what refers to them is still there."""
    databases = request.getfixturevalue("postgres_databases")
    url = f"sqlite:///{tmp_path / 'old.db'}" if of_kind == "sqlite" else databases.make()
    with old_schema(url, "0011") as transaction:
        for statement in (
            "INSERT INTO campaigns (name, status, content, created_at, accepted, read_rows)"
            " VALUES ('half', 'sending', '{}', 0, 5, 5)",
            "INSERT INTO recipients (campaign_id, email, connection, status, variables, attempts,"
            " next_attempt_at, settled_at, code) VALUES"
            " (1, 'a@b.de', 'a', 'sent', '{}', 1, NULL, 5, 250),"
            " (1, 'b@b.de', 'a', 'deferred', '{}', 1, 5, 5, 450),"
            " (1, 'c@b.de', 'a', 'sending', '{}', 0, NULL, NULL, NULL),"
            " (1, 'd@b.de', 'a', 'pending', '{}', 0, NULL, NULL, NULL),"
            " (1, 'e@b.de', 'a', 'pending', '{}', 0, NULL, NULL, NULL)",
            "INSERT INTO attempts (recipient_id, at, connection, phase, verdict, reply)"
            " VALUES (2, 5, 'a', 'rcpt', 'deferred', 'later')",
        ):
            transaction.exec_driver_sql(statement)
    with Database(url) as database:
        outbox = Outbox(database, 1)
        assert set(outbox.in_doubt()) == {3}
        claimed = claim(database, outbox, 9)
        assert [row.email for row in claimed] == ["b@b.de", "d@b.de", "e@b.de"]
        history = History("a", "rcpt", "failed")
        settle(
            database,
            outbox,
            [
                Settled(claimed[0].id, RecipientStatus.SENT, 2, 250, "ok"),
                Settled(claimed[1].id, RecipientStatus.FAILED, 1, 550, "5.1.1 no", None, history),
                Settled(3, RecipientStatus.UNCERTAIN, 1),
            ],
        )
        assert outbox.counts().is_conserved
        assert outbox.counts().of(RecipientStatus.SENT) == 2
        statistics(database, 1)
        campaign_id = Campaigns(database).register("next", {}).id
        Launches(database).store_audience(campaign_id, [audience(3)], [])
        finish(database, campaign_id, 3)
        assert [row.id for row in claim(database, Outbox(database, campaign_id), 9)] == []
        with database.write() as transaction:
            (row, *_) = Outbox(database, campaign_id).claim(transaction, "red", 9)
            assert row.id > 5
    if of_kind == "postgresql":
        databases.drop(url)


def test_an_upgrade_that_fails_in_the_middle_changes_nothing_and_is_repeated(
    empty_database_url: str,
) -> None:
    with old_schema(empty_database_url, "0011") as transaction:
        transaction.exec_driver_sql(
            "CREATE FUNCTION mailsluice_attach_tables(bigint) RETURNS int"
            " LANGUAGE sql AS 'SELECT 1'"
        )
    with pytest.raises(OutboxError, match="already exists"):
        Database(empty_database_url)
    engine = sa.create_engine(sa.make_url(empty_database_url).set(drivername="postgresql+psycopg"))
    assert sa.inspect(engine).has_table("attempts")
    assert not sa.inspect(engine).has_table("attempts_shared")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP FUNCTION mailsluice_attach_tables")
    engine.dispose()
    with Database(empty_database_url) as database:
        assert tables(database) == SHARED


def test_processes_create_a_database_whose_transactions_are_repeatable(
    postgres_databases: Any,
) -> None:
    """Each waits for the one that migrates, and then sees what that one did."""
    url = postgres_databases.make()
    name = sa.make_url(url).database
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"
        )
    engine.dispose()
    with ThreadPoolExecutor(4) as pool:
        for opened in pool.map(Database, [url] * 4):
            opened.close()
    postgres_databases.drop(url)
