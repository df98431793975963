"""Errors of the state database, in words that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mailsluice.store.trouble import DatabaseTrouble, is_passing, told, trouble_of


def of_sqlite(code: int) -> DBAPIError:
    cause = sqlite3.OperationalError("it failed")
    cause.sqlite_errorcode = code
    return OperationalError("UPDATE", None, cause)


def of_postgresql(state: str) -> DBAPIError:
    cause = psycopg.errors.lookup(state)("it failed")
    error = DBAPIError.instance("UPDATE", None, cause, psycopg.Error)
    assert isinstance(error, DBAPIError)
    return error


@pytest.mark.parametrize(
    ("error", "trouble", "passes"),
    [
        (of_sqlite(sqlite3.SQLITE_BUSY), DatabaseTrouble.LOCKED, True),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), DatabaseTrouble.LOCKED, True),  # an extended code
        (of_sqlite(sqlite3.SQLITE_FULL), DatabaseTrouble.FULL, True),
        (of_sqlite(sqlite3.SQLITE_READONLY), DatabaseTrouble.READ_ONLY, True),
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE), DatabaseTrouble.AWAY, True),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN), DatabaseTrouble.AWAY, True),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), DatabaseTrouble.DAMAGED, False),
        (
            of_sqlite(sqlite3.SQLITE_ERROR),
            DatabaseTrouble.FAULT,
            False,
        ),  # no such table, a syntax error
        (of_postgresql("57P01"), DatabaseTrouble.AWAY, True),  # the server is shut down
        (of_postgresql("40P01"), DatabaseTrouble.AWAY, True),  # a deadlock
        (of_postgresql("53300"), DatabaseTrouble.AWAY, True),  # too many connections
        (of_postgresql("53100"), DatabaseTrouble.FULL, True),
        (of_postgresql("25006"), DatabaseTrouble.READ_ONLY, True),  # a standby, after a failover
        (of_postgresql("55P03"), DatabaseTrouble.LOCKED, True),
        (of_postgresql("28P01"), DatabaseTrouble.LOGIN, False),
        (of_postgresql("42501"), DatabaseTrouble.PRIVILEGE, False),
        (of_postgresql("42P01"), DatabaseTrouble.FAULT, False),  # no such table
        (of_postgresql("42601"), DatabaseTrouble.FAULT, False),  # a syntax error
        (of_postgresql("23505"), DatabaseTrouble.FAULT, False),
        # Before there is a session libpq gives no code.
        (
            OperationalError("", None, psycopg.OperationalError("connection refused")),
            DatabaseTrouble.AWAY,
            True,
        ),
        (
            OperationalError(
                "", None, psycopg.OperationalError("FATAL: password authentication failed for u")
            ),
            DatabaseTrouble.LOGIN,
            False,
        ),
        (ProgrammingError("", None, psycopg.ProgrammingError("odd")), DatabaseTrouble.FAULT, False),
        (PoolTimeoutError("no connection is free"), DatabaseTrouble.AWAY, True),
        (SQLAlchemyError("anything"), DatabaseTrouble.FAULT, False),
    ],
)
def test_an_error_is_classified_by_its_code(
    error: SQLAlchemyError, trouble: DatabaseTrouble, passes: bool
) -> None:
    assert trouble_of(error) is trouble
    assert is_passing(error) is passes


def test_a_wrong_statement_is_not_taken_for_a_lost_database(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    for statement in ("SELECT * FROM missing", "SELEC 1", "SELECT missing_function()"):
        with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
            connection.exec_driver_sql(statement)
        said = str(told(caught.value))
        assert "refuses a statement" in said
        assert "please report this" in said
        assert "does not answer" not in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (of_sqlite(sqlite3.SQLITE_BUSY), "is held by another process: it failed. Retry this run"),
        (of_sqlite(sqlite3.SQLITE_FULL), "has no room left: it failed. Make room on its disk. Ret"),
        (of_postgresql("25006"), "can only be read: it failed. Make its file and folder writable"),
        (of_postgresql("42501"), "run `python -m mailsluice.store.migrate`"),
    ],
)
def test_a_message_says_what_to_do(error: SQLAlchemyError, words: str) -> None:
    assert words in str(told(error))


def test_messages_quote_no_address() -> None:
    error = OperationalError("", None, psycopg.OperationalError("ann@example.com is not here"))
    assert "ann" not in str(told(error))
