"""Inserting many rows: streams of COPY on PostgreSQL, statements of many rows on SQLite."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

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
    with ThreadPoolExecutor(_STREAMS, "mailsluice-load") as streams:
        for rows, constants in chunks:
            numbered = rows.assign(id=_ids(database, table, len(rows))) if "id" in table.c else rows
            into = _into(database, table, (*numbered.columns, *constants))
            if len(under_way) >= _STREAMS:
                under_way.popleft().result()
            content = encoded(table, numbered, constants)
            under_way.append(streams.submit(_copy, database, into, content, turn))
        while under_way:
            under_way.popleft().result()


def _ids(database: Database, table: sa.Table, number: int) -> npt.NDArray[np.int64]:
    """Take ids from the table's sequence, so that two streams do not take them by turns."""
    import numpy as np

    taken = sa.text(
        "SELECT string_agg(int8send(nextval("
        "(SELECT pg_get_serial_sequence(:table, 'id')::regclass))), '')"
        " FROM generate_series(1, :number)"
    )
    with database.write() as transaction:
        transaction.exec_driver_sql(f"SELECT {_SETTINGS}")
        ids = transaction.execute(taken, {"table": table.name, "number": number}).scalar_one()
    return np.sort(np.frombuffer(ids or b"", ">i8")).astype(np.int64)


def _copy(database: Database, into: str, content: memoryview, turn: Lock) -> None:
    from mailsluice.store.copy_format import HEADER, TRAILER

    statement = f"COPY {into} FROM STDIN (FORMAT BINARY)"
    with database.write() as transaction:
        transaction.exec_driver_sql(f"SELECT {_SETTINGS}")
        raw: Any = transaction.connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            with turn:
                copy.write(HEADER)
                for start in range(0, len(content), _WRITE_BYTES):
                    copy.write(content[start : start + _WRITE_BYTES])
            copy.write(TRAILER)


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
