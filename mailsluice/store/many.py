"""Many rows as one JSON parameter, or one JSON result, of a single statement.

On SQLite each row of an `executemany`, and each fetched row, acquires the interpreter's lock again.
Beside a busy thread that costs more than the row itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from mailsluice.store.database import Database

Types = Mapping[str, "sa.types.TypeEngine[Any]"]


def rows_in(database: Database, types: Types) -> sa.Subquery:
    """The rows of the parameter `rows` (see `as_parameter`), as a table with these columns."""
    given = sa.bindparam("rows", type_=sa.Text())
    if database.is_sqlite:
        elements = sa.func.json_each(given).table_valued("value", name="element")
    else:
        as_json = sa.cast(given, sa.JSON())
        elements = sa.func.json_array_elements(as_json).table_valued("value", name="element")
    columns = (
        sa.cast(elements.c.value.op("->>")(sa.literal_column(str(position))), kind).label(name)
        for position, (name, kind) in enumerate(types.items())
    )
    return sa.select(*columns).subquery("given")


def as_parameter(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """The parameter for `rows_in`, with values in the order of its columns.

    U+0000, which PostgreSQL cannot store in a text, is replaced by U+FFFD.
    """
    given = [*rows]
    text = orjson.dumps(given).decode()
    if r"\u0000" in text:
        text = orjson.dumps([[*map(_without_nul, row)] for row in given]).decode()
    return {"rows": text}


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def in_one_value(database: Database, query: sa.Select[Any]) -> sa.Select[Any]:
    """The query in the form that `fetched` reads; its values are such that JSON can represent."""
    if not database.is_sqlite:
        return query
    rows = query.subquery()
    return sa.select(sa.func.json_group_array(sa.func.json_array(*rows.c)))


def fetched(database: Database, result: sa.CursorResult[Any]) -> list[Sequence[Any]]:
    """All rows of the result of a query that `in_one_value` has made, each as a sequence."""
    return list(orjson.loads(result.scalar_one()) if database.is_sqlite else result)


def fetch(
    transaction: sa.Connection, database: Database, query: sa.Select[Any]
) -> list[Sequence[Any]]:
    """All rows of a query whose values JSON can represent, each as a sequence."""
    return fetched(database, transaction.execute(in_one_value(database, query)))
