"""Cells of CSV files that a spreadsheet would take for a formula, made text and back. Pure."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_FORMULA = "[=+\\-@\t\r]"
_RUN = f"^'*{_FORMULA}"
_TEXT = f"^'+{_FORMULA}"


def as_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Cells (n,) that no spreadsheet runs: an apostrophe goes in front of what begins a formula.

    Also in front of one that is there before such a sign, so that `from_text` gives back exactly
    what it was.
    """
    is_run = pc.match_substring_regex(cells, _RUN)
    return pc.if_else(is_run, pc.binary_join_element_wise("'", cells, ""), cells)


def from_text(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Cells (n,) as they were before `as_text`, or before a spreadsheet wrote them."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return cells
    is_text = pc.match_substring_regex(cells, _TEXT)
    return pc.if_else(is_text, pc.utf8_slice_codeunits(cells, 1), cells)
