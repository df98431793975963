"""Inserting many rows: COPY on PostgreSQL, executemany on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

_POSTGRESQL: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def insert(
    connection: sa.Connection, table: sa.Table, rows: pd.DataFrame, **constants: int | str
) -> None:
    """Insert a DataFrame whose columns are some of the table's, in its row order.

    `constants` are columns that have the same value in every row.
    """
    columns = [str(name) for name in rows.columns]
    values = zip(*(rows[name].tolist() for name in columns), strict=True)
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, constants, values)
        return
    names = ", ".join(_quoted(connection, name) for name in (*columns, *constants))
    marks = ", ".join(["?"] * len(columns) + [_literal(value) for value in constants.values()])
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 own names
    connection.exec_driver_sql(statement, list(values))


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    columns: list[str],
    constants: dict[str, int | str],
    values: Iterator[tuple[object, ...]],
) -> None:
    names = [*columns, *constants]
    same = tuple(constants.values())
    types = [str(table.c[name].type.compile(dialect=_POSTGRESQL)).lower() for name in names]
    raw: Any = connection.connection.driver_connection
    quoted = ", ".join(_quoted(connection, name) for name in names)
    statement = f"COPY {table.name} ({quoted}) FROM STDIN (FORMAT BINARY)"
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in values:
            copy.write_row(row + same)


def _literal(value: int | str) -> str:
    """A constant as SQL, for values of our own that need no escaping."""
    if isinstance(value, int):
        return str(int(value))
    if not value.isalnum():
        raise ValueError(f"{value!r} cannot be a constant of a bulk insert: it is not plain")
    return f"'{value}'"


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)
