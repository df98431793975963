"""Many rows as one parameter, so that one statement takes them all.

On SQLite every row of an `executemany`, and every row fetched, takes the interpreter's lock anew:
beside a busy thread that costs more than the row. So rows go in and come out as one JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mailsluice.store.database import Database

Types = Mapping[str, "sa.types.TypeEngine[Any]"]


def rows_in(database: Database, types: Types) -> sa.Subquery:
    """The rows bound to the parameter `rows`, as a table of these columns; see `as_parameter`."""
    given = sa.bindparam("rows", type_=sa.Text())
    if database.is_sqlite:
        elements = sa.func.json_each(given).table_valued("value", name="element")
    else:
        as_json = sa.cast(given, postgresql.JSON())
        elements = sa.func.json_array_elements(as_json).table_valued("value", name="element")
    columns = (
        sa.cast(elements.c.value.op("->>")(sa.literal_column(str(position))), kind).label(name)
        for position, (name, kind) in enumerate(types.items())
    )
    return sa.select(*columns).subquery("given")


def as_parameter(rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """The parameter for `rows_in`; values in the order of its columns.

    U+0000, which PostgreSQL has in no text, is replaced.
    """
    given = [*rows]
    text = orjson.dumps(given).decode()
    if r"\u0000" in text:
        text = orjson.dumps([[*map(_without_nul, row)] for row in given]).decode()
    return {"rows": text}


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def fetch(
    transaction: sa.Connection, database: Database, query: sa.Select[Any]
) -> list[Sequence[Any]]:
    """All rows of a query, each a sequence of its columns' values, which JSON can hold."""
    if not database.is_sqlite:
        return list(transaction.execute(query))
    rows = query.subquery()
    as_json = sa.select(sa.func.json_group_array(sa.func.json_array(*rows.c)))
    return list(orjson.loads(transaction.execute(as_json).scalar_one()))
