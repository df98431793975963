"""A query can only read, whatever its words, on real databases."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError


@pytest.fixture
def crm(empty_database_url: str) -> Iterator[sa.Engine]:
    """Return a database of customers, of either kind."""
    url = sa.make_url(empty_database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table people (email text, n integer)")
        connection.exec_driver_sql("insert into people values ('a@b.de', 1), ('c@d.de', 2)")
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "create function gone() returns integer language plpgsql as"
                " $$ begin delete from people; return 1; end $$"
            )
    yield engine
    engine.dispose()


def read(engine: sa.Engine, sql: str, rows: int = 50_000) -> list[str]:
    source = RecipientSource(query=sql, database="crm")
    chunks = read_chunks(source, connect=lambda _: engine, chunk_rows=rows)
    return [email for chunk in chunks for email in chunk.email]


def people(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("select email, n from people order by n"))


WRITING = [
    "delete from people",
    "delete from people returning email",
    "with x as (select 1) delete from people returning email",  # begins as a query does
    "/* select */ update people set n = 7 returning email",
    "insert into people values ('x@y.de', 3) returning email",
    "drop table people",
    "create table more (n integer)",
    "create temporary table more as select * from people",
    "select email from people; delete from people",
    "commit; delete from people",
    "select email from people; commit; delete from people; begin",
    "rollback",
    "vacuum",
]
SQLITE = [
    "attach '{folder}/other.db' as other",
    "vacuum into '{folder}/copy.db'",
    "pragma query_only = off",
    "pragma user_version = 7",
    "pragma journal_mode = wal",
    "begin immediate",
    "reindex",
    "update sqlite_master set sql = ''",
    "select load_extension('{folder}/x')",
]
POSTGRESQL = [
    "with gone as (delete from people returning email) select email from gone",
    "select email, gone() from people",  # a function that writes
    "select email from people for update",
    "set transaction read write",
    "set transaction read write; delete from people returning email",
    "select email, set_config('transaction_read_only', 'off', true), gone() from people",
    "select set_config('transaction_read_only', 'off', false) as email",
    "commit; set default_transaction_read_only = off; delete from people returning email",
    "copy people to '{folder}/people.csv'",
    "do $x$ begin delete from people; end $x$",
    "call pg_catalog.pg_sleep(0)",
    "explain analyze delete from people",
    "truncate people",
    "create table more as select * from people",
]


def _refused(engine: sa.Engine, sql: str, folder: Path) -> None:
    before = people(engine)
    with pytest.raises(AudienceError, match="database 'crm'"):
        read(engine, sql.replace("{folder}", str(folder)))
    assert people(engine) == before
    assert [one for one in folder.iterdir() if not one.name.startswith("outbox.db")] == []


@pytest.mark.parametrize("sql", WRITING)
def test_statements_that_write_are_refused(crm: sa.Engine, tmp_path: Path, sql: str) -> None:
    _refused(crm, sql, tmp_path)


@pytest.mark.parametrize("sql", SQLITE)
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_sqlite_lets_a_query_only_read(crm: sa.Engine, tmp_path: Path, sql: str) -> None:
    _refused(crm, sql, tmp_path)


@pytest.mark.parametrize("sql", POSTGRESQL)
@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_postgresql_lets_no_query_make_the_transaction_writable(
    crm: sa.Engine, tmp_path: Path, sql: str
) -> None:
    _refused(crm, sql, tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "select email from people order by n",
        "with x as (select email, n from people) select email from x order by n;",
        "-- people\nselect email from people order by n",
        "select email from people where email like '%_.de' and ' :a%s' <> '' order by n",
        "select cast(email as text) as email from people order by n -- the end",
        "values ('a@b.de'), ('c@d.de')",
        "with recursive x(n) as (select 1 union all select n + 1 from x where n < 2)"
        " select email from people join x on x.n = people.n order by x.n",
    ],
)
def test_queries_that_read_are_run(crm: sa.Engine, sql: str) -> None:
    if sql.startswith("values"):
        name = "column1"
        source = RecipientSource(query=sql, database="crm", email_column=name)
        found = [email for one in read_chunks(source, connect=lambda _: crm) for email in one.email]
        assert found == ["a@b.de", "c@d.de"]
    else:
        assert read(crm, sql, rows=1) == ["a@b.de", "c@d.de"]


def test_a_query_leaves_the_engine_writable_for_others(crm: sa.Engine) -> None:
    assert read(crm, "select email from people order by n") == ["a@b.de", "c@d.de"]
    with crm.begin() as connection:
        connection.exec_driver_sql("insert into people values ('e@f.de', 3)")
    assert len(read(crm, "select email from people")) == 3


def test_the_error_for_a_refused_write_asks_for_a_select(crm: sa.Engine) -> None:
    with pytest.raises(AudienceError, match="write one SELECT") as caught:
        read(crm, "with x as (select 1) delete from people returning email")
    assert "shell" not in str(caught.value)


def test_a_missing_database_file_is_not_created(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'typo.db'}")
    assert read(engine, "select 'a@b.de' as email") == ["a@b.de"]
    with pytest.raises(AudienceError, match="no such table"):
        read(engine, "select email from people")
    engine.dispose()
    assert list(tmp_path.iterdir()) == []


def test_a_query_does_not_change_a_sqlite_file(tmp_path: Path) -> None:
    path = tmp_path / "odd name?%.db"
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
    with engine.begin() as connection:
        connection.exec_driver_sql("create virtual table people using fts5(email)")
        connection.exec_driver_sql("insert into people values ('ann')")
        connection.exec_driver_sql("create virtual table spans using rtree(id, a, b)")
        connection.exec_driver_sql("insert into spans values (7, 1, 2)")
    engine.dispose()
    before = hashlib.sha256(path.read_bytes()).digest()
    assert read(engine, "select email from people where people match 'ann'") == ["ann"]
    assert read(engine, "select id as email from spans where a < 5") == ["7"]
    for sql in ("delete from spans", "insert into people values ('bob')"):
        with pytest.raises(AudienceError, match="write one SELECT"):
            read(engine, sql)
    engine.dispose()
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_database_in_memory_can_be_queried(tmp_path: Path) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table people as select 'a@b.de' as email, 1 as n")
    _refused(engine, "delete from people returning email", tmp_path)
    assert read(engine, "select email from people") == ["a@b.de"]


def test_the_engine_of_a_database_block_only_reads(tmp_path: Path) -> None:
    # Imported here, as Prefect is slow to import and no other test of this folder needs it.
    from prefect.logging import disable_run_logger
    from prefect_sqlalchemy import SqlAlchemyConnector

    path = tmp_path / "crm.db"
    setup = sa.create_engine(f"sqlite:///{path}")
    with setup.begin() as connection:
        connection.exec_driver_sql("create table people as select 'a@b.de' as email, 1 as n")
    setup.dispose()
    block = SqlAlchemyConnector(connection_info=f"sqlite+pysqlite:///{path}")
    with disable_run_logger():
        engine = block.get_engine()
    with pytest.raises(AudienceError, match="write one SELECT"):
        read(engine, "with x as (select 1) delete from people returning email")
    assert read(engine, "select email from people") == ["a@b.de"]
    engine.dispose()


def test_an_error_quotes_no_value(crm: sa.Engine) -> None:
    with crm.begin() as connection:
        odd = "cast(x'736563726574ff' as text)" if crm.dialect.name == "sqlite" else "'secret'"
        connection.exec_driver_sql(f"create table odd as select {odd} as email")
    sql = "select email from odd" if crm.dialect.name == "sqlite" else "select email::int from odd"
    with pytest.raises(AudienceError, match="its value") as caught:
        read(crm, sql)
    assert "secret" not in str(caught.value)
