"""A piece of a recipient list, as every kind of source yields it: text, nothing but text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.errors import AudienceError

TEXT = pa.large_string()
"""What pandas keeps `str` columns in, so that nothing is copied on the way there and back."""


def as_array(values: pd.Series[str]) -> pa.Array:
    """Take a `str` column for Arrow: copied only where it lies in several pieces."""
    array = pa.array(values, TEXT)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive rows of a source."""

    rows: npt.NDArray[np.int64]
    """(n,) data row numbers, the first row after the header is 1."""
    email: pd.Series[str]
    """(n,) the e-mail column, as it was given."""
    variables: pd.DataFrame
    """(n, columns) every other column, as text; an empty string where there was no value."""
    malformed: dict[int, str]
    """Rows without the right number of fields: data row number, and the row's text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a source has, and which of them holds the address."""

    email: int
    variables: dict[str, int]
    """Position of each variable, by name; columns without a name are left out."""

    def chunk(
        self,
        rows: npt.NDArray[np.int64],
        columns: Sequence[pa.Array],
        malformed: dict[int, str] | None = None,
    ) -> Chunk:
        """Make a chunk of the source's columns (text, in the source's order)."""
        names = ["", *self.variables]
        arrays = [columns[i] for i in (self.email, *self.variables.values())]
        frame: pd.DataFrame = pa.Table.from_arrays(arrays, names=names).to_pandas()
        return Chunk(rows, frame[""], frame[frame.columns[1:]], malformed or {})


def find_layout(names: Sequence[str], email_column: str, where: str) -> Layout:
    """Find the e-mail column: by its exact name, else in upper or lower case.

    Raises AudienceError where it is missing or ambiguous, or where a name occurs twice; `where`
    names the source in the message.
    """
    trimmed = [name.strip() for name in names]
    twice = [name for name, count in Counter(trimmed).items() if count > 1 and name]
    if twice:
        raise AudienceError(
            f"{where} has columns of the same name: {_listed(twice)}. Rename all but one of each"
        )
    found = [i for i, name in enumerate(trimmed) if name == email_column] or [
        i for i, name in enumerate(trimmed) if name.casefold() == email_column.casefold()
    ]
    if len(found) != 1:
        problem = "has several columns" if found else "has no column"
        raise AudienceError(
            f"{where} {problem} {email_column!r}; its columns are {_listed(trimmed)}. "
            "Name the one with the addresses in 'email_column'"
        )
    variables = {name: i for i, name in enumerate(trimmed) if name and i != found[0]}
    return Layout(found[0], variables)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
