"""A PostgreSQL database that a test has used is lent to the next one as if it were new."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.postgres_databases import UsedAgain

CAMPAIGN = (
    "INSERT INTO campaigns (name, status, content, created_at)"
    " VALUES ('spring', 'ready', '{}', 0) RETURNING id"
)
LEFT_BEHIND = (
    "CREATE TABLE recipients_7 () INHERITS (recipients)",
    "CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 7'",
    "INSERT INTO suppressions (email, reason, source, created_at)"
    " SELECT number || '@example.com', 'bounced', 'test', 0 FROM generate_series(1, 5000) number",
)
_OBJECTS = "SELECT count(*) FROM pg_class UNION ALL SELECT count(*) FROM pg_proc"
_ROWS = "SELECT count(*) FROM campaigns UNION ALL SELECT count(*) FROM suppressions"
_DATABASE = "SELECT oid FROM pg_database WHERE datname = current_database()"


def test_a_database_that_is_lent_again_has_nothing_of_the_test_before(
    migrated_postgres: UsedAgain,
) -> None:
    with migrated_postgres.lent() as url, psycopg.connect(url, autocommit=True) as connection:
        database, objects = (connection.execute(ask).fetchall() for ask in (_DATABASE, _OBJECTS))
        first = connection.execute(CAMPAIGN).fetchall()
        for statement in LEFT_BEHIND:
            connection.execute(statement)
    with migrated_postgres.lent() as url, psycopg.connect(url) as connection:
        assert connection.execute(_DATABASE).fetchall() == database
        assert connection.execute(_OBJECTS).fetchall() == objects
        assert connection.execute(_ROWS).fetchall() == [(0,), (0,)]
        assert connection.execute(CAMPAIGN).fetchall() == first == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE campaigns ADD COLUMN more integer",
        "GRANT SELECT ON campaigns TO public",
        "UPDATE alembic_version SET version_num = 'newer'",
        "ANALYZE recipients_shared, alembic_version",  # the planner would know what was there
    ],
)
def test_a_database_that_cannot_be_emptied_is_not_lent_again(
    change: str, migrated_postgres: UsedAgain
) -> None:
    with migrated_postgres.lent() as url, psycopg.connect(url, autocommit=True) as connection:
        database = connection.execute(_DATABASE).fetchall()
        connection.execute(change)
    with migrated_postgres.lent() as url, psycopg.connect(url) as connection:
        assert connection.execute(_DATABASE).fetchall() != database


def test_a_process_that_a_test_leaves_behind_loses_the_database(
    migrated_postgres: UsedAgain,
) -> None:
    with migrated_postgres.lent() as url:
        left = psycopg.connect(url)
        left.execute("LOCK TABLE campaigns")
    with migrated_postgres.lent():
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)
