"""The schema of a state database, old and new, and what is refused, on every database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.core.outcome import Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.store import Database, History, Outbox, Settled, Suppressions
from mailsluice.store import database as database_module
from mailsluice.store.database import _engine
from mailsluice.store.schema import bounces, metadata
from tests.integration.campaign_fixtures import processes
from tests.integration.outbox_fixtures import Store, claim, settle


def open_at_once(together: Barrier, url: str) -> None:
    # However long the first one takes on a busy machine, the others wait.
    database_module._BUSY_TIMEOUT_SECONDS = 600
    together.wait()
    Database(url).close()


class TestSchema:
    def test_migrations_create_the_tables_of_the_schema(self, empty_database_url: str) -> None:
        with Database(empty_database_url) as database:
            self._has_the_tables(sa.inspect(database.engine))

    def _has_the_tables(self, inspector: sa.Inspector) -> None:
        for table in metadata.tables.values():
            found = {column["name"]: column for column in inspector.get_columns(table.name)}
            assert set(found) == set(table.columns.keys())
            for column in table.columns:
                assert found[column.name]["nullable"] == column.nullable, column
            with_rows = self._with_rows(inspector, table)
            assert {index["name"] for index in inspector.get_indexes(with_rows)} >= {
                index.name for index in table.indexes
            }

    def _with_rows(self, inspector: sa.Inspector, table: sa.Table) -> str:
        """The table that has the rows: on PostgreSQL, two tables have none themselves."""
        shared = f"{table.name}_shared"
        return shared if inspector.has_table(shared) else str(table.name)

    def test_several_processes_can_migrate_at_once(self, empty_database_url: str) -> None:
        context = processes()
        arguments = (context.Barrier(4), empty_database_url)
        started = [context.Process(target=open_at_once, args=arguments) for _ in range(4)]
        for process in started:
            process.start()
        for process in started:
            process.join()
        assert [process.exitcode for process in started] == [0] * 4
        with Database(empty_database_url) as database:
            assert sa.inspect(database.engine).has_table("recipients")

    def test_a_newer_schema_is_refused(self, database_url: str) -> None:
        with Database(database_url) as database, database.write() as transaction:
            transaction.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(OutboxError, match="install the newer version"):
            Database(database_url)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("nonsense", "not a SQLAlchemy URL"),
        ("mysql://localhost/x", "SQLite or PostgreSQL, not mysql"),
        ("sqlite://", "give SQLite a file"),
        ("postgresql://u:secret@127.0.0.1:1/x", "cannot be used"),  # nobody listens there
    ],
)
def test_a_database_that_cannot_be_used_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(OutboxError, match=complaint) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_processes_that_create_the_same_file_wait_for_each_other(tmp_path: Path) -> None:
    """SQLite fails at once when two processes set the journal mode."""
    together = threading.Barrier(4)

    def make(path: Path) -> None:
        engine = _engine(f"sqlite:///{path}")
        together.wait()
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS anything (column_)")
        engine.dispose()

    with ThreadPoolExecutor(4) as threads:
        for number in range(50):
            list(threads.map(make, [tmp_path / f"{number}.db"] * 4))


class TestRefusals:
    """Refusals for a reason of the recipient's own."""

    REFUSED = History("a", Phase.RCPT, "failed")

    def refuse(self, database: Database, outbox: Outbox, recipient_id: int) -> None:
        one = Settled(recipient_id, RecipientStatus.FAILED, 1, 550, "5.1.1 no", None, self.REFUSED)
        settle(database, outbox, one)

    def found(self, database: Database) -> list[tuple[object, ...]]:
        with database.read() as connection:
            columns = (bounces.c.key, bounces.c.email, bounces.c.kind, bounces.c.status)
            return [tuple(one) for one in connection.execute(sa.select(*columns))]

    def test_outcome_and_bounce_are_one_transaction(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(2)
        (claimed,) = claim(database, outbox)
        one = Settled(claimed.id, RecipientStatus.FAILED, 1, 550, "5.1.1 no", None, self.REFUSED)
        with database.engine.connect() as connection, connection.begin() as transaction:
            outbox.settle(connection, [one])
            transaction.rollback()  # the process dies before the commit
        assert self.found(database) == []
        assert Suppressions(database).count() == 0
        settle(database, outbox, one)
        assert self.found(database) == [
            (f"smtp:1:{claimed.id}", "user0@example.com", "hard", "5.1.1")
        ]
        assert Suppressions(database).find(["user0@example.com"])[0].source == "smtp a"

    def test_a_repeated_refusal_is_not_another_bounce(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(2)
        (claimed,) = claim(database, outbox)
        self.refuse(database, outbox, claimed.id)
        Suppressions(database).remove(["user0@example.com"])
        self.refuse(database, outbox, claimed.id)
        assert len(self.found(database)) == 1
        assert Suppressions(database).count() == 0

    @pytest.mark.parametrize(
        ("status", "code", "reply", "phase"),
        [
            (RecipientStatus.SENT, 250, "ok", Phase.BODY),
            (RecipientStatus.DEFERRED, 452, "4.2.2 full", Phase.RCPT),  # it is tried again
            (RecipientStatus.FAILED, 550, "5.7.1 policy", Phase.RCPT),
            (RecipientStatus.FAILED, 552, "5.3.4 too big", Phase.MAIL),
            (RecipientStatus.FAILED, 550, "5.1.1 no", Phase.MAIL),  # names the sender alone
            (RecipientStatus.FAILED, None, "it cannot be rendered", Phase.DATA),
            (RecipientStatus.FAILED, 550, "no", Phase.BODY),  # the message is refused
        ],
    )
    def test_refusals_not_about_the_address_are_no_bounces(
        self,
        database: Database,
        stored: Store,
        status: RecipientStatus,
        code: int | None,
        reply: str,
        phase: Phase,
    ) -> None:
        outbox = stored(2)
        (claimed,) = claim(database, outbox)
        history = History("a", phase, "failed")
        settle(database, outbox, Settled(claimed.id, status, 1, code, reply, 0.0, history))
        assert self.found(database) == []
