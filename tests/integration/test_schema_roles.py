"""A PostgreSQL role that may not change the schema, as campaigns of a cluster use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.store import Database, campaign_tables, migrate
from tests.integration.accounts_fixtures import claim, store
from tests.integration.old_schema import old_schema
from tests.integration.test_campaign_tables import SHARED, age, archive, tables

ROLES = """
create role row_owner login; create role row_writer login; create role row_reader;
create database by_role owner row_owner;
"""
RIGHTS = """
revoke all on schema public from public; grant usage on schema public to row_writer, row_reader;
grant all on schema public to row_owner;
alter default privileges for role row_owner
    grant select, insert, update, delete on tables to row_writer;
alter default privileges for role row_owner grant usage on sequences to row_writer;
"""


@pytest.fixture
def urls(postgres_server: str) -> Iterator[tuple[str, str]]:
    """The URLs of an empty database for its owner and for a role that may only write rows."""
    base = sa.make_url(postgres_server).set(database="by_role")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        for statement in ROLES.strip().split(";")[:-1]:
            connection.execute(statement)
        try:
            with psycopg.connect(_text(base)) as inside:
                inside.execute(RIGHTS)
            yield _text(base.set(username="row_owner")), _text(base.set(username="row_writer"))
        finally:
            connection.execute("drop database by_role with (force)")
            connection.execute("drop role row_owner, row_writer, row_reader")


def _text(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


def test_a_role_without_ddl_opens_a_migrated_database(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, writer = urls
    monkeypatch.setenv("MAILSLUICE_DATABASE_URL", owner)
    migrate.main()
    Database(writer).close()


def test_a_role_without_ddl_is_told_how_to_migrate(
    urls: tuple[str, str],
) -> None:
    owner, writer = urls
    with pytest.raises(OutboxError, match=r"mailsluice\.store\.migrate"):
        Database(writer)
    Database(owner).close()
    with psycopg.connect(owner) as connection:
        connection.execute("update alembic_version set version_num = '0004'")
    with pytest.raises(OutboxError, match=r"mailsluice\.store\.migrate"):
        Database(writer)


def test_a_migration_that_fails_ends_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILSLUICE_DATABASE_URL", "mysql://nobody@127.0.0.1/x")
    with pytest.raises(SystemExit, match="SQLite or PostgreSQL"):
        migrate.main()


def test_a_role_without_ddl_launches_large_campaigns_and_archives_them(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Functions of the schema's owner make and drop the tables."""
    monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 1)
    owner, writer = urls
    Database(owner).close()
    with Database(writer) as database:
        outbox = store(database, 4)
        assert claim(database, outbox)
        assert tables(database) == {*SHARED, "recipients_1", "attempts_1"}
        age(database, outbox)
        assert not archive(database, tmp_path).troubled
        assert tables(database) == SHARED


def test_a_role_without_rights_on_the_rows_cannot_drop_them(urls: tuple[str, str]) -> None:
    owner, writer = urls
    Database(owner).close()
    with psycopg.connect(owner) as connection:
        connection.execute("revoke delete, insert, update on recipients_shared from row_writer")
    for function in (
        "create_tables",
        "attach_tables",
        "drop_tables",
        "take_ids",
        "pack_tables",
        "index_claims",
    ):
        with (
            psycopg.connect(writer) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(f"select mailsluice_{function}(1)")


@pytest.mark.parametrize("of_login", ["writer", "superuser"])
def test_the_rights_of_the_role_in_effect_count_not_those_of_the_login(
    urls: tuple[str, str], postgres_server: str, of_login: str
) -> None:
    """A pool may log in as one role and act as another."""
    owner, writer = urls
    Database(owner).close()
    superuser = _text(sa.make_url(postgres_server).set(database="by_role"))
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("grant row_owner, row_reader to row_writer")
    with psycopg.connect(writer if of_login == "writer" else superuser) as connection:
        connection.execute("set role row_owner")
        connection.execute("select mailsluice_take_ids(1)")
        connection.execute("set role row_reader")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row_reader needs"):
            connection.execute("select mailsluice_take_ids(1)")


@pytest.mark.parametrize("revision", ["0011", "0013"])
def test_a_superuser_migrates_as_the_owner_of_the_tables(
    urls: tuple[str, str], postgres_server: str, revision: str
) -> None:
    """What the superuser owned would run with a superuser's rights for the role that sends."""
    owner, _ = urls
    with old_schema(owner, revision):
        pass
    Database(_text(sa.make_url(postgres_server).set(database="by_role"))).close()
    with psycopg.connect(owner) as connection:
        owners = connection.execute(
            "select pg_get_userbyid(relowner) from pg_class"
            " where relnamespace = 'public'::regnamespace union"
            " select pg_get_userbyid(proowner) from pg_proc where proname ~ '^mailsluice_'"
        ).fetchall()
    assert owners == [("row_owner",)]


def test_a_role_that_is_not_the_owner_is_told_who_must_migrate(urls: tuple[str, str]) -> None:
    owner, writer = urls
    with old_schema(owner, "0011"):
        pass
    with pytest.raises(OutboxError, match=r'role "row_owner".*mailsluice\.store\.migrate'):
        Database(writer)
