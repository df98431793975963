"""A chunk of a recipient list: the rows that every kind of source yields, as text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.audience.blanks import trimmed
from mailsluice.core.errors import AudienceError

MAX_COLUMNS = 2_000
"""PostgreSQL and SQLite allow about as many columns in a table."""

TEXT = pa.large_string()
"""The type in which pandas keeps `str` columns, so that conversions copy nothing."""


def as_array(values: pd.Series[str]) -> pa.Array:
    """Convert a `str` column to Arrow; the column is copied only if it is in several pieces."""
    array = pa.array(values, TEXT)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a source."""

    rows: npt.NDArray[np.int64]
    """(n,) data row numbers; the first row after the header is 1."""
    email: pd.Series[str]
    """(n,) the e-mail column as written in the source."""
    variables: pd.DataFrame
    """(n, columns) every other column, as text; an empty string where the source has no value."""
    malformed: dict[int, str]
    """Rows with a wrong number of fields: data row number, and the row's text."""
    left_out: tuple[str, ...] = ()
    """Variables that the source has, but not as text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The positions of a source's columns."""

    email: int
    """Position of the column that holds the address."""
    variables: dict[str, int]
    """Position of each variable, by name; columns without a name are left out."""

    def chunk(
        self,
        rows: npt.NDArray[np.int64],
        columns: Sequence[pa.Array] | Mapping[int, pa.Array],
        malformed: dict[int, str] | None = None,
    ) -> Chunk:
        """Make a chunk from the columns of the source, as text, by their positions."""
        names = ["", *self.variables]
        arrays = [columns[i] for i in (self.email, *self.variables.values())]
        frame: pd.DataFrame = pa.Table.from_arrays(arrays, names=names).to_pandas()
        return Chunk(rows, frame[""], frame[frame.columns[1:]], malformed or {})


def find_layout(
    names: Sequence[str],
    email_column: str,
    where: str,
    *,
    may_be_anything: bool = False,
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> Layout:
    """Find the e-mail column: by its exact name, else by the name in any spelling.

    Args:
        names: The names of the source's columns, in order.
        email_column: The name of the e-mail column.
        renamed: The names of variables by the names of their columns, found in the same way.
        where: The name of the source in error messages.
        may_be_anything: Whether the source may be something else than a list of recipients, such
            as a secret file. Then errors quote its names only if one is usual for addresses.

    Raises:
        AudienceError: The e-mail column or a renamed one is missing or ambiguous, a name occurs
            twice, or there are more than MAX_COLUMNS columns.
    """
    if len(names) > MAX_COLUMNS:
        raise AudienceError(
            f"{where} has {len(names):,} columns, and at most {MAX_COLUMNS:,} are read: keep only"
            " the address and the columns that the message uses"
        )
    columns = [trimmed(name) for name in names]
    is_quoted = not may_be_anything or any(map(_is_usual, columns))
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        listed = _listed(twice) if is_quoted else f"{len(twice)} of them"
        raise AudienceError(
            f"{where} has columns of the same name: {listed}. Rename all but one of each"
        )
    matches = _matches(columns, email_column)
    if len(matches) != 1:
        problem = "has several columns" if matches else "has no column"
        others = f"its columns are {_listed(columns)}"
        listed = others if is_quoted else f"it has {len(columns)} others"
        raise AudienceError(
            f"{where} {problem} {email_column!r}; {listed}. "
            "Name the column with the addresses in 'email_column', or as 'email' in 'columns'"
        )
    email = matches[0]
    places = [_place(columns, heading, where, is_quoted=is_quoted) for heading in renamed]
    for place, name in zip(places, renamed.values(), strict=True):
        columns[place] = trimmed(name)
    variables = Counter(name for i, name in enumerate(columns) if name and i != email)
    if same := [name for name, count in variables.items() if count > 1]:
        raise AudienceError(
            f"{where} would have two columns {same[0]!r}, since 'columns' gives another one this"
            " name: choose another name, or rename both"
        )
    return Layout(email, {name: i for i, name in enumerate(columns) if name and i != email})


def _matches(columns: Sequence[str], heading: str) -> list[int]:
    wanted = trimmed(heading)
    return [i for i, name in enumerate(columns) if name == wanted] or [
        i for i, name in enumerate(columns) if _alike(name) == _alike(wanted)
    ]


def _place(columns: Sequence[str], heading: str, where: str, *, is_quoted: bool) -> int:
    """The position of a column that `columns` names."""
    matches = _matches(columns, heading)
    if len(matches) == 1:
        return matches[0]
    near = get_close_matches(heading, columns, n=3, cutoff=0.5) if is_quoted else []
    advice = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    listed = f"its columns are {_listed(columns)}" if is_quoted else f"it has {len(columns)} others"
    problem = "has several columns" if matches else "has no column"
    raise AudienceError(f"{where} {problem} {heading!r}: {advice}{listed}. Correct it in 'columns'")


def _is_usual(name: str) -> bool:
    """Whether a column of addresses often has this name, or a header line of several names."""
    return any(_USUAL.fullmatch(part.strip()) for part in re.split("[,;\t|]", name))


_USUAL = re.compile(
    "(subscriber|recipient|user|contact)?[ _-]?(e?[ _-]?mail)[ _-]?(address|adresse|addr)?",
    re.IGNORECASE,
)


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
