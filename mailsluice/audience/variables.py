"""The template variables of recipients as JSON, made for a whole chunk at a time."""

from __future__ import annotations

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT, as_array


def to_json(variables: pd.DataFrame) -> pa.Array:
    """Return a JSON object of strings for each of n rows, with the columns in their order."""
    if variables.columns.empty:
        return pa.array(["{}"] * len(variables), TEXT)
    parts: list[pa.Array | str] = []
    for i, name in enumerate(variables.columns):
        parts += [f'{"," if i else "{"}{orjson.dumps(name).decode()}:"', _escaped(variables[name])]
        parts.append('"')
    scalars = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar("}", TEXT), pa.scalar("", TEXT))


def is_empty(json: pa.Array, name: str, *, is_first: bool) -> pa.Array:
    """Return whether a variable is empty, for each of n objects that `to_json` made.

    Quotes within names and values are escaped, so the text that is searched for cannot occur
    elsewhere.
    """
    return pc.match_substring(json, f'{"{" if is_first else ","}{orjson.dumps(name).decode()}:""')


def _escaped(values: pd.Series[str]) -> pa.Array:
    """Escape values for JSON (RFC 8259 section 7); only the few that need it go through orjson."""
    column = as_array(values)
    special = pc.match_substring_regex(column, r'["\\\x00-\x1f]')
    if not pc.any(special).as_py():
        return column
    escaped = [orjson.dumps(value)[1:-1].decode() for value in column.filter(special).to_pylist()]
    return pc.replace_with_mask(column, special, pa.array(escaped, TEXT))
