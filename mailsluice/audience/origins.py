"""The sources that an audience was read from, one after the other.

The rows of a source are together, in the spool and in every array by row. So where each source ends
says from which source a row is, and no row has to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT

_VARIABLES = "variables"
Numbers = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Origin:
    """One source, as it was read."""

    label: str
    columns: tuple[str, ...]
    """The template variables that the source has; of a source without rows they are not known."""
    rows_before: int
    """Added to a row's number in the source, it gives the number in the union."""
    end: int
    """Stored rows up to the end of this source."""


class Origins:
    """All sources of an audience; a campaign with one source has one."""

    def __init__(self, origins: Sequence[Origin], accepted: npt.NDArray[np.bool]) -> None:
        """`accepted` (rows,) says which of the stored rows are accepted."""
        self._origins = tuple(origins)
        ends = [origin.end for origin in origins]
        self._ends = np.array(ends, np.int64)
        parts = np.split(accepted, ends[:-1]) if ends else []
        self._accepted_ends = np.cumsum([np.count_nonzero(part) for part in parts])
        self.columns = tuple(dict.fromkeys(name for one in origins for name in one.columns))
        """The template variables: the union of the sources' columns."""

    @property
    def are_several(self) -> bool:
        """Whether rows have to say which source they are from."""
        return len(self._origins) > 1

    def parts(self) -> Iterator[tuple[Origin, slice]]:
        """Yield each source with the range of its stored rows."""
        start = 0
        for origin in self._origins:
            yield origin, slice(start, origin.end)
            start = origin.end

    def at(self, stored_row: int) -> Origin:
        """The source of a stored row, counted from 0."""
        return self._origins[int(np.searchsorted(self._ends, stored_row, side="right"))]

    def numbers(self, recipients: npt.NDArray[np.int64]) -> Numbers:
        """The number of the source, from 1, of each recipient (n,), given by audience index."""
        return 1 + np.searchsorted(self._accepted_ends, recipients, side="right").astype(np.int16)

    def completed(self, rows: pa.RecordBatch, recipients: npt.NDArray[np.int64]) -> pa.RecordBatch:
        """Add the variables that a row's source lacks, as empty values, to the rows of recipients.

        `recipients` (n,) are the audience indices of the rows (n,).
        """
        at = rows.schema.get_field_index(_VARIABLES)
        if at < 0 or all(len(origin.columns) == len(self.columns) for origin in self._origins):
            return rows
        endings = pa.array([self._ending(origin) for origin in self._origins], TEXT)
        ending = endings.take(pa.array(self.numbers(recipients) - 1))
        opened = pc.utf8_slice_codeunits(rows[at], 0, -1)  # without the brace at its end
        values = pc.binary_join_element_wise(opened, ending, pa.scalar("", TEXT))
        return rows.set_column(at, rows.schema.field(at), values)

    def _ending(self, origin: Origin) -> str:
        missing = [name for name in self.columns if name not in origin.columns]
        values = ",".join(f'{orjson.dumps(name).decode()}:""' for name in missing)
        return f"{',' if values and origin.columns else ''}{values}}}"
