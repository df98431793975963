"""A recipient's template variables as one JSON text, made for a whole chunk at once."""

from __future__ import annotations

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT, as_array


def to_json(variables: pd.DataFrame) -> pa.Array:
    """(n,): one JSON object of strings a row, the columns in their order."""
    if variables.columns.empty:
        return pa.array(["{}"] * len(variables), TEXT)
    parts: list[pa.Array | str] = []
    for i, name in enumerate(variables.columns):
        parts += [f'{"," if i else "{"}{orjson.dumps(name).decode()}:"', _escaped(variables[name])]
        parts.append('"')
    scalars = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar("}", TEXT), pa.scalar("", TEXT))


def is_empty(json: pa.Array, name: str, *, is_first: bool) -> pa.Array:
    """(n,) bool: whether a variable has no text, told by what `to_json` wrote.

    A quote within a name or a value is escaped, so what is looked for can stand nowhere else.
    """
    return pc.match_substring(json, f'{"{" if is_first else ","}{orjson.dumps(name).decode()}:""')


def _escaped(values: pd.Series[str]) -> pa.Array:
    """JSON's escapes (RFC 8259 section 7), by orjson, for the few values that need any."""
    column = as_array(values)
    special = pc.match_substring_regex(column, r'["\\\x00-\x1f]')
    if not pc.any(special).as_py():
        return column
    escaped = [orjson.dumps(value)[1:-1].decode() for value in column.filter(special).to_pylist()]
    return pc.replace_with_mask(column, special, pa.array(escaped, TEXT))
