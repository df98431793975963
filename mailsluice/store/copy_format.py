"""Rows in PostgreSQL's binary COPY format, made of whole columns. Pure.

PostgreSQL reads lengths instead of delimiters, so that no text needs to be escaped. See "Binary
Format" in PostgreSQL's documentation of COPY.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
TRAILER = b"\xff\xff"

_BYTES = pa.large_binary()
_NUMBERS: dict[type[sa.types.TypeEngine[Any]], tuple[pa.DataType, str]] = {
    sa.BigInteger: (pa.int64(), ">i8"),
    sa.SmallInteger: (pa.int16(), ">i2"),
    sa.Double: (pa.float64(), ">f8"),
}


def encoded(table: sa.Table, rows: pd.DataFrame, constants: Mapping[str, int | str]) -> memoryview:
    """Encode rows without the format's header and trailer. None and NaN become NULL.

    The columns are those of `rows`, and then those of `constants`, which have the same value in
    every row. Raises ArrowInvalid for a number that its column cannot hold.
    """
    parts = [pa.scalar((len(rows.columns) + len(constants)).to_bytes(2, "big"), _BYTES)]
    for name in rows.columns:
        parts += _field(_values(rows[name], table.c[name].type))
    for name, value in constants.items():
        field = _field(_values(pd.Series([value]), table.c[name].type))
        parts.append(pa.scalar(b"".join(part[0].as_py() for part in field), _BYTES))
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", _BYTES))
    _, offsets, content = joined.buffers()
    return memoryview(content)[: np.frombuffer(offsets, np.int64)[len(rows)]]


def _field(values: pa.LargeBinaryArray) -> list[pa.LargeBinaryArray]:
    """The length of each value, and the values; NULL has no value, and the length -1."""
    lengths = pc.fill_null(pc.binary_length(values), -1).to_numpy()
    return [_fixed(lengths.astype(">i4")), pc.fill_null(values, b"")]


def _values(column: pd.Series[Any], kind: sa.types.TypeEngine[Any]) -> pa.LargeBinaryArray:
    """The bytes of each value, or null."""
    if isinstance(kind, sa.Text):
        return pa.array(column, pa.large_string(), from_pandas=True).cast(_BYTES)
    arrow, numpy = _NUMBERS[type(kind)]
    numbers = pa.array(column, from_pandas=True).cast(arrow)
    content = _fixed(numbers.fill_null(0).to_numpy().astype(numpy))
    return pc.if_else(numbers.is_valid(), content, pa.scalar(None, _BYTES))


def _fixed(numbers: npt.NDArray[np.generic]) -> pa.LargeBinaryArray:
    """The bytes of each number (n,)."""
    kind = pa.binary(numbers.itemsize)
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)]).cast(_BYTES)
