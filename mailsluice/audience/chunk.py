"""A piece of a recipient list, as every kind of source yields it: text, nothing but text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.audience.blanks import trimmed
from mailsluice.core.errors import AudienceError

MAX_COLUMNS = 2_000
"""PostgreSQL and SQLite have about as many in a table."""

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


def find_layout(
    names: Sequence[str], email_column: str, where: str, *, may_be_anything: bool = False
) -> Layout:
    """Find the e-mail column: by its exact name, else by that name in any spelling.

    Raises AudienceError where it is missing or ambiguous, where a name occurs twice, or where there
    are more than MAX_COLUMNS; `where` names the source in the message. What `may_be_anything`, as a
    file may, is only quoted where it looks like a list of recipients.
    """
    if len(names) > MAX_COLUMNS:
        raise AudienceError(
            f"{where} has {len(names):,} columns, and at most {MAX_COLUMNS:,} are read: give the"
            " address and what the message uses"
        )
    known = [trimmed(name) for name in names]
    is_quoted = not may_be_anything or any(map(_is_usual, known))
    twice = [name for name, count in Counter(known).items() if count > 1 and name]
    if twice:
        listed = _listed(twice) if is_quoted else f"{len(twice)} of them"
        raise AudienceError(
            f"{where} has columns of the same name: {listed}. Rename all but one of each"
        )
    wanted = trimmed(email_column)
    found = [i for i, name in enumerate(known) if name == wanted] or [
        i for i, name in enumerate(known) if _alike(name) == _alike(wanted)
    ]
    if len(found) != 1:
        problem = "has several columns" if found else "has no column"
        listed = f"its columns are {_listed(known)}" if is_quoted else f"it has {len(known)} others"
        raise AudienceError(
            f"{where} {problem} {email_column!r}; {listed}. "
            "Name the one with the addresses in 'email_column'"
        )
    variables = {name: i for i, name in enumerate(known) if name and i != found[0]}
    return Layout(found[0], variables)


def _is_usual(name: str) -> bool:
    """Whether columns of addresses are often called so, also before they are taken apart."""
    return any(_USUAL.fullmatch(part.strip()) for part in re.split("[,;\t|]", name))


_USUAL = re.compile(
    "(subscriber|recipient|user|contact)?[ _-]?(e?[ _-]?mail)[ _-]?(address|adresse|addr)?",
    re.IGNORECASE,
)


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
