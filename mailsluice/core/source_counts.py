"""Counts of the rows of each source, in a campaign that has several. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """The rows of one source; those accepted and rejected are together those read."""

    source: str
    """The file, or the database of the query."""
    rows_before: int
    """Rows of the earlier sources: row 1 of this source is row `rows_before` + 1 of the union."""
    read_rows: int
    accepted: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Rows that are not in the audience, by reason."""


def row_in_source(row: int, sources: Sequence[SourceCounts]) -> tuple[int, str | None]:
    """Turn a row of the union into the row of its source, and name the source.

    Of a campaign with one source, `sources` is empty: the row stays, and has no name.
    """
    if not sources:
        return row, None
    position = bisect_left(sources, row, key=lambda source: source.rows_before) - 1
    return row - sources[position].rows_before, sources[position].source
