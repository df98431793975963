"""Keep spreadsheets from running cells of CSV files as formulas. Pure."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_FORMULA = "[=+\\-@\t\r]"
_NEEDS_APOSTROPHE = f"^'*{_FORMULA}"
_HAS_APOSTROPHE = f"^'+{_FORMULA}"


def as_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Put an apostrophe before each of the cells (n,) that a spreadsheet would run as a formula.

    Cells that have apostrophes before such a sign already get one more, so that `from_text`
    restores every cell exactly.
    """
    needs = pc.match_substring_regex(cells, _NEEDS_APOSTROPHE)
    return pc.if_else(needs, pc.binary_join_element_wise("'", cells, ""), cells)


def from_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Remove the apostrophes that `as_text`, or a spreadsheet, put before cells (n,)."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return cells
    has = pc.match_substring_regex(cells, _HAS_APOSTROPHE)
    return pc.if_else(has, pc.utf8_slice_codeunits(cells, 1), cells)
