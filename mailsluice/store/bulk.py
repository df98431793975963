"""Inserting many rows: streams of COPY on PostgreSQL, statements of many rows on SQLite."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mailsluice.store.campaign_tables import own_tables
from mailsluice.store.database import Database

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Chunk = tuple[pd.DataFrame, Mapping[str, int | str]]
    """Columns of the table, and columns with the same value in every row."""

_ROWS_A_STATEMENT = (
    100  # a third less work than one row; SQLite may be built for 999 values a statement
)
_STREAMS = 2
_SETTINGS = ", ".join(
    f"set_config('{name}', '{value}', true)"
    for name, value in (("client_encoding", "UTF8"), ("synchronous_commit", "off"))
)
"""Settings of a transaction that loads: the commit that ends the launch waits for the disk."""
_WRITE_BYTES = 1 << 18
_THREADS = "mailsluice-load"

Write = Callable[[bytes | memoryview], None]
"""Sends a part of what COPY reads."""


def load(database: Database, table: sa.Table, chunks: Iterable[Chunk]) -> None:
    """Insert chunks of rows, each in a transaction of its own, so that others can write in between.

    None and NaN become NULL. Ids grow in the order of the rows. After an error some chunks are
    stored and others are not, whatever their order.
    """
    if not database.is_sqlite:
        _copy_all(database, table, chunks)
        return
    for rows, constants in chunks:
        with database.write() as transaction:
            into = _into(database, table, (*rows.columns, *constants))
            _insert(transaction, into, rows, constants)


def _copy_all(database: Database, table: sa.Table, chunks: Iterable[Chunk]) -> None:
    """Copy over two connections, each of which has a process of its own at the server.

    The server takes as long to check a chunk's foreign keys, after its last row, as to insert it.
    So one connection inserts while the keys of the other one are checked. Two that insert side by
    side would be no faster, and leave the pages of the indexes half empty.
    """
    from mailsluice.store.copy_format import encoded  # loads pyarrow

    under_way: deque[Future[None]] = deque()
    turn = Lock()
    with ThreadPoolExecutor(_STREAMS, _THREADS) as streams:
        for rows, constants in chunks:
            numbered = rows.assign(id=_ids(database, len(rows))) if "id" in table.c else rows
            into = _into(database, table, (*numbered.columns, *constants))
            if len(under_way) >= _STREAMS:
                under_way.popleft().result()
            content = encoded(table, numbered, constants)
            under_way.append(streams.submit(_copy, database, into, content, turn))
        while under_way:
            under_way.popleft().result()


def load_own_tables(database: Database, campaign_id: int, chunks: Iterable[Chunk]) -> None:
    """Create a campaign's own tables, with these recipients, in one transaction. On PostgreSQL.

    A thread sends a chunk while the next one is encoded. Rows are stored as if they were old
    (FREEZE), so that no later VACUUM has to write their pages for it; nobody sees the tables before
    the end. Replaces tables that an interrupted launch left. All chunks have the same columns.
    """
    from mailsluice.store.copy_format import HEADER, TRAILER, encoded  # loads pyarrow

    table = own_tables(campaign_id).recipients
    remaining = iter(chunks)
    first, constants = next(remaining)
    columns = ["id", *first.columns]
    into = _into(database, table, (*columns, *constants))
    with database.write() as transaction:
        transaction.exec_driver_sql(f"SELECT {_SETTINGS}")
        transaction.execute(sa.select(sa.func.mailsluice_create_tables(campaign_id)))
        statement = f"COPY {into} FROM STDIN (FORMAT BINARY, FREEZE)"
        with _copying(transaction, statement) as copy, ThreadPoolExecutor(1, _THREADS) as stream:
            sent = stream.submit(copy, HEADER)
            for rows, _ in chain([(first, constants)], remaining):
                numbered = rows.assign(id=_ids(database, len(rows)))[columns]
                content = encoded(table, numbered, constants)
                sent.result()
                sent = stream.submit(_write, copy, content)
            sent.result()
            copy(TRAILER)
        transaction.execute(sa.select(sa.func.mailsluice_attach_tables(campaign_id)))


def _ids(database: Database, number: int) -> npt.NDArray[np.int64]:
    """Take numbers for recipients, in one piece, so that two streams do not take them by turns."""
    import numpy as np

    taken = sa.select(sa.func.mailsluice_take_ids(number))
    with database.read() as connection:
        first = int(connection.execute(taken).scalar_one())
    return np.arange(first, first + number, dtype=np.int64)


def _copy(database: Database, into: str, content: memoryview, turn: Lock) -> None:
    from mailsluice.store.copy_format import HEADER, TRAILER

    statement = f"COPY {into} FROM STDIN (FORMAT BINARY)"
    with database.write() as transaction:
        transaction.exec_driver_sql(f"SELECT {_SETTINGS}")
        with _copying(transaction, statement) as copy:
            with turn:
                copy(HEADER)
                _write(copy, content)
            copy(TRAILER)


@contextmanager
def _copying(transaction: sa.Connection, statement: str) -> Iterator[Write]:
    """Begin to copy; errors of the driver are those of SQLAlchemy, as for other statements."""
    raw: Any = transaction.connection.driver_connection
    driver_error = transaction.dialect.loaded_dbapi.Error
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            yield copy.write
    except driver_error as error:
        raise DBAPIError.instance(
            statement, None, error, driver_error, hide_parameters=True, dialect=transaction.dialect
        ) from error


def _write(copy: Write, content: memoryview) -> None:
    for start in range(0, len(content), _WRITE_BYTES):
        copy(content[start : start + _WRITE_BYTES])


def _into(database: Database, table: sa.Table, columns: Iterable[str]) -> str:
    quote = database.engine.dialect.identifier_preparer.quote
    return f"{table.name} ({', '.join(map(quote, columns))})"


def _insert(
    connection: sa.Connection, into: str, rows: pd.DataFrame, constants: Mapping[str, int | str]
) -> None:
    values = zip(*(_values(rows[name]) for name in rows.columns), strict=True)
    for number, parameters in _statements(values).items():
        row = ", ".join([*"?" * len(rows.columns), *map(_literal, constants.values())])
        marks = ", ".join([f"({row})"] * number)
        statement = f"INSERT INTO {into} VALUES {marks}"  # noqa: S608
        connection.exec_driver_sql(statement, parameters)


def _statements(values: Iterator[tuple[object, ...]]) -> dict[int, list[tuple[object, ...]]]:
    """The parameters of statements, by their number of rows: the last one may have fewer."""
    statements: dict[int, list[tuple[object, ...]]] = {}
    while part := list(islice(values, _ROWS_A_STATEMENT)):
        statements.setdefault(len(part), []).append(tuple(chain.from_iterable(part)))
    return statements


def _values(column: pd.Series[Any]) -> list[object]:
    if column.hasnans:
        column = column.astype(object).where(column.notna(), None)
    return column.tolist()


def _literal(value: int | str) -> str:
    """A constant as SQL; refuses a value that would need escaping."""
    if isinstance(value, int):
        return str(int(value))
    if not value.isalnum():
        raise ValueError(f"{value!r} cannot be a constant of a bulk insert: use letters and digits")
    return f"'{value}'"
