"""Which of SQLite and PostgreSQL a test runs on in `make test`, where it has several rows.

The rows of a table take turns: the second of each four runs on PostgreSQL, where a test takes twice
the processor time, the others on SQLite. Each row runs, and each kind of database is used. `make
thorough` runs each row on the other kind. The tests of a module with the mark `takes_turns` are
rows in this sense: whole campaigns, which all execute the same statements. A test with one row runs
on both kinds, for SQL of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import pytest

KINDS = SQLITE, POSTGRESQL = ("sqlite", "postgresql")
"""The kinds of state databases, the parameters of the fixture `kind`."""
TAKES_TURNS = "takes_turns"
ONE_IN = 4
"""In each group of so many rows, the second runs on PostgreSQL."""
Case = TypeVar("Case")


def left_for_thorough(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that only a thorough run has to run."""
    tables: dict[str, dict[str, dict[str, pytest.Item]]] = defaultdict(lambda: defaultdict(dict))
    for item in items:
        parameters = getattr(item, "callspec", None)
        if parameters and (kind := parameters.params.get("kind")) in KINDS:
            test, _, row = item.nodeid.partition("[")
            table = str(item.path) if item.get_closest_marker(TAKES_TURNS) else test
            tables[table][test + row.replace(kind, "", 1)][kind] = item
    return [left for rows in tables.values() for left in left_out(rows.values())]


def left_out(rows: Iterable[Mapping[str, Case]]) -> list[Case]:
    """Return what rows leave out: each one of its kinds, by turns; nothing if one row has both."""
    on_both = [row for row in rows if len(row) == len(KINDS)]
    if len(on_both) == 1:
        return []
    return [
        row[SQLITE if number % ONE_IN == 1 else POSTGRESQL] for number, row in enumerate(on_both)
    ]
