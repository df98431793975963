"""Inserting many rows: COPY on PostgreSQL, statements of many rows on SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    import pandas as pd

_ROWS_A_STATEMENT = (
    100  # a third less work than one row; SQLite may be built for 999 values a statement
)


def insert(
    connection: sa.Connection, table: sa.Table, rows: pd.DataFrame, **constants: int | str
) -> None:
    """Insert a DataFrame, whose columns are columns of the table, in its row order.

    None and NaN become NULL. `constants` are columns with the same value in every row.
    """
    columns = [str(name) for name in (*rows.columns, *constants)]
    names = ", ".join(map(connection.dialect.identifier_preparer.quote, columns))
    values = zip(*(_values(rows[name]) for name in rows.columns), strict=True)
    if connection.dialect.name == "postgresql":
        types = [table.c[name].type for name in columns]
        _copy(connection, f"{table.name} ({names})", types, values, tuple(constants.values()))
    else:
        _insert(connection, f"{table.name} ({names})", values, tuple(constants.values()))


def _values(column: pd.Series[Any]) -> list[object]:
    if column.hasnans:
        column = column.astype(object).where(column.notna(), None)
    return column.tolist()


def _copy(
    connection: sa.Connection,
    into: str,
    types: Sequence[sa.types.TypeEngine[Any]],
    values: Iterator[tuple[object, ...]],
    constants: tuple[int | str, ...],
) -> None:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([str(kind.compile(dialect=connection.dialect)).lower() for kind in types])
        for row in values:
            copy.write_row(row + constants)


def _insert(
    connection: sa.Connection,
    into: str,
    values: Iterator[tuple[object, ...]],
    constants: tuple[int | str, ...],
) -> None:
    statements: dict[
        int, list[tuple[object, ...]]
    ] = {}  # by number of rows: the last one may have fewer
    while part := list(islice(values, _ROWS_A_STATEMENT)):
        statements.setdefault(len(part), []).append(tuple(chain.from_iterable(part)))
    for rows, parameters in statements.items():
        width = len(parameters[0]) // rows
        row = ", ".join([*"?" * width, *map(_literal, constants)])
        marks = ", ".join([f"({row})"] * rows)
        connection.exec_driver_sql(f"INSERT INTO {into} VALUES {marks}", parameters)  # noqa: S608


def _literal(value: int | str) -> str:
    """A constant as SQL; refuses a value that would need escaping."""
    if isinstance(value, int):
        return str(int(value))
    if not value.isalnum():
        raise ValueError(f"{value!r} cannot be a constant of a bulk insert: use letters and digits")
    return f"'{value}'"
