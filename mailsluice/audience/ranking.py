"""The column by which recipients are ordered, read as numbers or dates a chunk at a time.

A column holds either numbers or dates, whichever most of its values are. Other values are as good
as missing. Their recipients come last.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import as_array
from mailsluice.audience.columns import missing_column
from mailsluice.core.errors import AudienceError

Values = npt.NDArray[np.float64]
_Kinds = npt.NDArray[np.uint8]

_EMPTY, _UNREADABLE, _NUMBER, _DATE = range(4)
_A_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_AN_ISO_DATE = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?$"
)
_MICROSECONDS = r"(\.[0-9]{6})[0-9]+"  # as many digits as fit, whatever other values are there


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The values by which recipients are ordered."""

    column: str
    by_recipient: Values
    """(n,) by audience index; NaN where there is none."""
    empty: int
    """Recipients without a value."""
    unreadable: int
    """Recipients whose value is of another kind than most values."""
    kind: str
    """The kind of the values, in the plural."""

    def notes(self) -> list[str]:
        """Return a warning about recipients that have no place in the order."""
        if not self.empty + self.unreadable:
            return []
        causes = []
        if self.empty:
            causes.append(f"{self.empty:,} without a value")
        if self.unreadable:
            causes.append(f"{self.unreadable:,} with a value that is not among its {self.kind}")
        return [f"order_by {self.column!r}: these recipients come last: {', '.join(causes)}"]


@dataclass(slots=True)
class RankingReader:
    """Reads the column, in buffers that grow in place."""

    column: str
    _values: bytearray = field(default_factory=bytearray)
    """float64 by valid row."""
    _kinds: bytearray = field(default_factory=bytearray)
    """uint8 by valid row."""
    _columns: set[str] = field(default_factory=set)

    def add(self, variables: pd.DataFrame, valid: npt.NDArray[np.bool]) -> None:
        """Read the values of a chunk's valid rows; a source without the column has none."""
        self._columns.update(variables.columns)
        if self.column not in variables:
            count = int(np.count_nonzero(valid))
            self._values += np.full(count, np.nan).tobytes()
            self._kinds += np.full(count, _EMPTY, np.uint8).tobytes()
            return
        texts = as_array(variables[self.column][valid])
        values, kinds = _read(pc.utf8_trim_whitespace(texts))
        self._values += values.tobytes()
        self._kinds += kinds.tobytes()

    def finish(self, accepted: npt.NDArray[np.bool]) -> Ranking:
        """Return the ranking of the accepted among the valid rows.

        Raises AudienceError if no source has the column, or if it has no number and no date, so
        that it orders nothing.
        """
        if self.column not in self._columns:
            raise missing_column(self.column, self._columns, "to order by", "order_by")
        kinds = np.frombuffer(self._kinds, np.uint8)[accepted]
        empty, _, numbers, dates = np.bincount(kinds, minlength=4).tolist()
        if len(kinds) and not numbers + dates:
            raise AudienceError(
                f"the column {self.column!r} cannot order the recipients: it has no numbers such as"
                " 12.5 and no dates such as 2026-01-31 or 2026-01-31T09:30Z. Name another column in"
                " order_by, or leave it empty"
            )
        kind, name = (_DATE, "dates") if dates > numbers else (_NUMBER, "numbers")
        values = np.frombuffer(self._values, np.float64)[accepted]
        values[kinds != kind] = np.nan
        return Ranking(self.column, values, empty, len(kinds) - empty - max(numbers, dates), name)


def _read(texts: pa.Array) -> tuple[Values, _Kinds]:
    """Read trimmed texts (n,) as numbers, or as dates in seconds since 1970."""
    kinds = np.full(len(texts), _UNREADABLE, np.uint8)
    kinds[_where(pc.equal(texts, ""))] = _EMPTY
    values = np.full(len(texts), np.nan)
    for kind, pattern, parse in ((_NUMBER, _A_NUMBER, _numbers), (_DATE, _AN_ISO_DATE, _dates)):
        looks_right = pc.match_substring_regex(texts, pattern)
        at = np.flatnonzero(_where(looks_right))
        parsed = parse(texts.filter(looks_right))
        is_valid = np.isfinite(parsed)
        values[at[is_valid]] = parsed[is_valid]
        kinds[at[is_valid]] = kind
    return values, kinds


def _where(mask: pa.Array) -> npt.NDArray[np.bool]:
    result: npt.NDArray[np.bool] = mask.to_numpy(zero_copy_only=False)
    return result


def _numbers(texts: pa.Array) -> Values:
    result: Values = texts.cast(pa.float64()).to_numpy()
    return result


def _dates(texts: pa.Array) -> Values:
    shortened = pc.replace_substring_regex(texts, _MICROSECONDS, r"\1")
    moments = pd.to_datetime(
        shortened.to_pandas(), format="ISO8601", utc=True, errors="coerce"
    ).to_numpy(dtype="datetime64[us]")
    seconds = moments.astype(np.int64) / 1e6
    return np.where(np.isnat(moments), np.nan, seconds)
