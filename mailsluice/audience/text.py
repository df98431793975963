"""Convert values of any type to the text that a template shows.

A value has the same text whatever the other values of its column are, and wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT


def to_text(values: pa.Array) -> pa.Array:
    """Convert a column to text: dates to ISO 8601, bool to true/false, lists to JSON, null to "".

    Numbers have no exponents, and no point if they are whole; NaN is as null.

    Raises pyarrow.ArrowException or UnicodeError if the values are no text: an unknown type, or
    bytes that are not UTF-8.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return to_text(values.dictionary_decode())
    if isinstance(kind, pa.UuidType):
        values = _uuids(values.storage)
    elif isinstance(kind, pa.BaseExtensionType):
        return to_text(values.storage)
    elif pa.types.is_timestamp(kind):
        values = _moments(values)
    elif pa.types.is_floating(kind):
        values = _numbers(values)
    elif pa.types.is_decimal(kind):
        values = _positional(values.cast(TEXT))
    elif pa.types.is_nested(kind):
        values = pa.array([_json_of(cell) for cell in values], TEXT)
    return pc.fill_null(values.cast(TEXT), "")


def from_objects(values: Sequence[Any]) -> pa.Array:
    """Convert Python values from a database driver to text by the same rules."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.array([""] * len(values), TEXT)
    if len(kinds) == 1:
        return _of_one_type(values, *kinds)
    texts = [""] * len(values)
    for kind in kinds:  # Arrow would convert integers among floats, and dates among moments
        places = [place for place, value in enumerate(values) if type(value) is kind]
        converted = _of_one_type([values[place] for place in places], kind)
        for place, text in zip(places, converted.to_pylist(), strict=True):
            texts[place] = text
    return pa.array(texts, TEXT)


def _of_one_type(values: Sequence[Any], kind: type) -> pa.Array:
    """Convert values of one type, and None."""
    convert: Callable[[Any], str | None] = str
    if issubclass(kind, Decimal):  # Arrow would give all of a column the same number of decimals
        convert = _decimal
    elif issubclass(kind, bytes | bytearray | memoryview):
        convert = _of_bytes
    elif issubclass(kind, dict | list | tuple):  # Arrow would give all dictionaries the same keys
        convert = _json_or_text
    else:
        with suppress(pa.ArrowException, TypeError, ValueError, OverflowError):  # unknown types
            return to_text(pa.array(values))
    return pa.array([None if one is None else convert(one) for one in values], TEXT).fill_null("")


def _numbers(values: pa.Array) -> pa.Array:
    """Write floating-point numbers as whole numbers, or by the fewest decimals that tell them."""
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    exact = 1 << (24 if pa.types.is_float32(values.type) else 53)  # whole numbers up to here are
    is_whole = pc.and_(pc.equal(pc.trunc(values), values), pc.less(pc.abs(values), exact))
    nothing = pa.scalar(None, values.type)
    whole = pc.if_else(is_whole, values, nothing).cast(pa.int64()).cast(TEXT)
    return pc.coalesce(whole, _positional(pc.if_else(is_whole, nothing, values).cast(TEXT)))


def _positional(texts: pa.Array) -> pa.Array:
    """Write numbers with an exponent without one."""
    has_exponent = pc.fill_null(pc.match_substring(texts, "e", ignore_case=True), False)
    if not has_exponent.true_count:
        return texts
    written = [f"{Decimal(text):f}" for text in texts.filter(has_exponent).to_pylist()]
    return pc.replace_with_mask(texts, has_exponent, pa.array(written, TEXT))


def _decimal(value: Decimal) -> str:
    return "" if value.is_nan() else f"{value:f}"


def _uuids(values: pa.Array) -> pa.Array:
    """Write UUIDs, of 16 bytes each, in their usual form (RFC 9562 section 4)."""
    octets = memoryview(values.buffers()[1] or b"")[values.offset * 16 :][: len(values) * 16]
    digits = np.frombuffer(octets.hex().encode(), np.uint8).reshape(-1, 32)
    written = np.insert(digits, (8, 12, 16, 20), ord("-"), axis=1)
    texts = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(36), len(values), [None, pa.py_buffer(written.tobytes())]
    )
    return pc.if_else(values.is_valid(), texts.cast(pa.binary()), None)


def _moments(values: pa.Array) -> pa.Array:
    zone = "%z" if values.type.tz else ""
    with suppress(pa.ArrowInvalid):  # raised for fractions of a second, which are kept
        values = values.cast(pa.timestamp("s", values.type.tz))
    return pc.strftime(values, format=f"%Y-%m-%dT%H:%M:%S{zone}")


def _json_of(cell: pa.Scalar) -> str | None:
    try:
        return _json(cell.as_py())
    except OverflowError:  # a date in it that Python has no value for
        return "<value out of range>"  # as Arrow writes dates that are not in a list


def _of_bytes(value: bytes | bytearray | memoryview) -> str:
    """Return bytes as text, or as hexadecimal digits if they are not UTF-8."""
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return value.hex()


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value, default=_json_text).decode()


def _json_or_text(value: object) -> str | None:
    """Return JSON, or Python's own form of a value that JSON does not know, as large numbers."""
    try:
        return _json(value)
    except TypeError:
        return str(value)


def _json_text(value: object) -> str:
    """Return the text of a value that JSON does not know."""
    if isinstance(value, Decimal):
        return _decimal(value)
    return value.decode() if isinstance(value, bytes) else str(value)
