"""Cells that no spreadsheet runs, and the original cells restored."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.spreadsheet import as_text, from_text

cells = st.lists(st.none() | st.text("='+-@\t\r\n a", max_size=6) | st.text())


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("'=1", "''=1"),  # as written in the source
        ("'o@example.com", "'o@example.com"),  # no formula after it
        ("o'neil@example.com", "o'neil@example.com"),
        ("", ""),
        (None, None),
    ],
)
def test_cells_that_begin_a_formula_get_an_apostrophe(cell: str | None, shown: str | None) -> None:
    assert as_text(pa.array([cell], pa.string())).to_pylist() == [shown]


@given(cells)
def test_the_original_cells_are_restored(values: list[str | None]) -> None:
    given_cells = pa.array(values, pa.string())
    assert from_text(as_text(given_cells)).to_pylist() == values


@given(cells)
def test_no_cell_can_be_run(values: list[str | None]) -> None:
    shown = as_text(pa.array(values, pa.string())).to_pylist()
    assert not any(text and text[0] in "=+-@\t\r" for text in shown)
