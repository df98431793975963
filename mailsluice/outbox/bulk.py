"""Inserting many rows: COPY on PostgreSQL, executemany on SQLite."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

_POSTGRESQL: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def insert(connection: sa.Connection, table: sa.Table, rows: pd.DataFrame) -> None:
    """Insert a DataFrame whose columns are some of the table's, in its row order."""
    names = [str(name) for name in rows.columns]
    values = zip(*(rows[name].tolist() for name in names), strict=True)
    if connection.dialect.name == "postgresql":
        _copy(connection, table, names, values)
    else:
        marks = ", ".join("?" * len(names))
        columns = ", ".join(_quoted(connection, name) for name in names)
        statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 own names
        connection.exec_driver_sql(statement, list(values))


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    names: list[str],
    values: zip[tuple[object, ...]],
) -> None:
    columns = ", ".join(_quoted(connection, name) for name in names)
    types = [str(table.c[name].type.compile(dialect=_POSTGRESQL)).lower() for name in names]
    raw: Any = connection.connection.driver_connection
    statement = f"COPY {table.name} ({columns}) FROM STDIN (FORMAT BINARY)"
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in values:
            copy.write_row(row)


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)
