"""Convert values of any type to the text that a template shows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT


def to_text(values: pa.Array) -> pa.Array:
    """Convert a column to text: dates to ISO 8601, bool to true/false, lists to JSON, null to "".

    Raises pyarrow.ArrowInvalid if bytes are not UTF-8.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return to_text(values.dictionary_decode())
    if pa.types.is_timestamp(kind):
        values = _moments(values)
    elif pa.types.is_nested(kind):
        values = pa.array([_json(value) for value in values], TEXT)
    return pc.fill_null(values.cast(TEXT), "")


def from_objects(values: Sequence[Any]) -> pa.Array:
    """Convert Python values from a database driver to text by the same rules."""
    try:
        return to_text(pa.array(values))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # mixed or unknown types
        return pa.array(["" if value is None else str(value) for value in values], TEXT)


def _moments(values: pa.Array) -> pa.Array:
    zone = "%z" if values.type.tz else ""
    with suppress(pa.ArrowInvalid):  # raised for fractions of a second, which are kept
        values = values.cast(pa.timestamp("s", values.type.tz))
    return pc.strftime(values, format=f"%Y-%m-%dT%H:%M:%S{zone}")


def _json(cell: pa.Scalar) -> str | None:
    try:
        value = cell.as_py()
    except OverflowError:  # a date in it that Python has no value for
        return "<value out of range>"  # as Arrow writes dates that are not in a list
    return None if value is None else orjson.dumps(value, default=str).decode()
