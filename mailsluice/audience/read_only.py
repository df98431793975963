"""Run a query so that it can only read: the database itself refuses everything else.

The words of the query are not examined. By dialect:

- SQLite: the file is opened with `mode=ro`, `query_only` is on, and an authorizer refuses anything
  else that a statement could do: ATTACH, PRAGMA, VACUUM, tables of any kind, its own transaction.
- PostgreSQL: a read-only transaction that has read something already, so that the query cannot make
  it writable. The query goes to the server as a value, and is opened there as a cursor. A cursor
  takes only a single statement that returns rows, and none that ends the transaction.
- MySQL and MariaDB: `START TRANSACTION READ ONLY`; their drivers take one statement at a time.
- Any other: a transaction that is rolled back.

In addition, the rights of the database's role always apply. They are the only bound for functions
that act outside of the transaction.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa


class Answer(NamedTuple):
    """The result of a query."""

    names: list[str]
    """The names of the columns."""
    parts: Iterator[Sequence[Sequence[Any]]]
    """The rows, in parts that are never empty."""


def answer(engine: sa.Engine, query: str, part_rows: int) -> AbstractContextManager[Answer]:
    """Run a query that can only read; the connection is open within the context.

    Args:
        engine: The database.
        query: The SQL.
        part_rows: The most rows in a part of the answer.

    Raises:
        SQLAlchemyError: The database refuses the query.
        ResourceClosedError: The statement is of a kind that returns no rows.
    """
    run = _BY_DIALECT.get(engine.dialect.name, _rolled_back)
    return run(engine, query, part_rows)


def is_refused_write(error: BaseException | None) -> bool:
    """Whether a driver's error says that a statement would have written."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_REFUSALS
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code == _READ_ONLY_TRANSACTION or getattr(error, "args", ())[:1] == (_MYSQL_READ_ONLY,)


_SQLITE_REFUSALS = (sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY)
_READ_ONLY_TRANSACTION = "25006"  # SQLSTATE, PostgreSQL appendix A
_MYSQL_READ_ONLY = 1792  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION


@contextmanager
def _sqlite(engine: sa.Engine, query: str, part_rows: int) -> Iterator[Answer]:
    sa.event.listen(engine, "do_connect", _open_read_only)
    try:
        connection = engine.connect()
    finally:
        sa.event.remove(engine, "do_connect", _open_read_only)
    with connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")  # for a connection that was open
        driver: Any = connection.connection.driver_connection
        driver.set_authorizer(_authorize)
        try:
            yield _answer(connection, query, part_rows)
        finally:
            driver.set_authorizer(None)
            connection.exec_driver_sql("PRAGMA query_only = OFF")
            if _is_file(engine.url):  # closing a database in memory would delete it
                connection.invalidate()


def _open_read_only(
    _: sa.Dialect, __: object, arguments: list[Any], options: dict[str, Any]
) -> None:
    """Open a file for reading only; a missing file is not created, but read as an empty one."""
    if arguments and not options.get("uri") and arguments[0] not in ("", ":memory:"):
        path = Path(arguments[0]).absolute()
        arguments[0] = f"file:{quote(str(path))}?mode=ro" if path.exists() else "file::memory:"
        options["uri"] = True


def _is_file(url: sa.URL) -> bool:
    return url.database not in (None, "", ":memory:") and "memory" not in url.query.get("mode", "")


def _authorize(action: int, what: str | None, name: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and name in _ACT_OUTSIDE:
        return sqlite3.SQLITE_DENY
    may = action in _HARMLESS or (action == sqlite3.SQLITE_PRAGMA and what == "data_version")
    return sqlite3.SQLITE_OK if may else sqlite3.SQLITE_DENY


_HARMLESS = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
    # Virtual tables, for full text and for ranges, prepare such statements even for reading. To run
    # one fails, since `query_only` is on, and no PRAGMA can switch it off.
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
)
_ACT_OUTSIDE = {"load_extension", "writefile", "edit"}


@contextmanager
def _postgresql(engine: sa.Engine, query: str, part_rows: int) -> Iterator[Answer]:
    options: Any = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _closed_afterwards(engine) as opened:
        connection = opened.execution_options(**options)
        # After the first read, PostgreSQL refuses to make the transaction writable.
        connection.execute(_KEEP_QUERY, {"query": query})
        connection.exec_driver_sql(_OPEN_CURSOR)
        result = connection.exec_driver_sql(f"FETCH {part_rows:d} FROM {_CURSOR}")
        yield Answer(list(result.keys()), _fetched(connection, result, part_rows))


_CURSOR = "mailsluice_query"
_KEEP_QUERY = sa.text(f"SELECT set_config('{_CURSOR}.text', :query, true)")
_OPEN_CURSOR = f"""
DO $$
DECLARE opened refcursor := '{_CURSOR}';
BEGIN
  OPEN opened NO SCROLL FOR EXECUTE current_setting('{_CURSOR}.text');
END $$
"""


def _fetched(
    connection: sa.Connection, result: sa.CursorResult[Any], part_rows: int
) -> Iterator[Sequence[Sequence[Any]]]:
    while rows := result.all():
        yield rows
        result = connection.exec_driver_sql(f"FETCH {part_rows:d} FROM {_CURSOR}")


@contextmanager
def _mysql(engine: sa.Engine, query: str, part_rows: int) -> Iterator[Answer]:
    with _closed_afterwards(engine) as connection:
        connection.exec_driver_sql("START TRANSACTION READ ONLY")
        yield _answer(connection, query, part_rows)


@contextmanager
def _rolled_back(engine: sa.Engine, query: str, part_rows: int) -> Iterator[Answer]:
    with engine.connect() as connection:
        yield _answer(connection, query, part_rows)


@contextmanager
def _closed_afterwards(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a connection for the query alone, so that its changes to the session end with it."""
    with engine.connect() as connection:
        try:
            yield connection
        finally:
            connection.invalidate()


def _answer(connection: sa.Connection, query: str, part_rows: int) -> Answer:
    options = {"yield_per": part_rows}
    result = connection.execute(sa.text(_without_parameters(query)), execution_options=options)
    return Answer(list(result.keys()), result.partitions())


def _without_parameters(query: str) -> str:
    """Escape colons, which text() would take for parameters."""
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\:", query)


_BY_DIALECT: dict[str, Callable[[sa.Engine, str, int], AbstractContextManager[Answer]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
}
