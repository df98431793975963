"""Rows of a table take turns on the two kinds of state databases."""

from __future__ import annotations

from tests.integration.turns import KINDS, left_out


def rows(count: int) -> list[dict[str, str]]:
    """A number of rows, each with a case for either kind."""
    return [{kind: f"{number} on {kind}" for kind in KINDS} for number in range(count)]


def test_the_second_of_each_four_rows_runs_on_postgresql_and_the_others_on_sqlite() -> None:
    assert left_out(rows(6)) == [
        "0 on postgresql",
        "1 on sqlite",
        "2 on postgresql",
        "3 on postgresql",
        "4 on postgresql",
        "5 on sqlite",
    ]


def test_a_single_row_runs_on_both_kinds() -> None:
    assert left_out(rows(1)) == []
    assert left_out([*rows(1), {"sqlite": "for SQLite alone"}]) == []


def test_rows_for_one_kind_run() -> None:
    assert left_out([{"sqlite": "for SQLite alone"}, *rows(2)]) == [
        "0 on postgresql",
        "1 on sqlite",
    ]
