"""Values of any type become the text that mails and links show."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.audience.text import from_objects, to_text

FLOATS = [
    (4917612345678.0, "4917612345678"),  # a whole number in a column with gaps, as pandas writes it
    (-1e10, "-10000000000"),
    (1e16, "10000000000000000"),
    (1e23, "1" + "0" * 23),
    (float(2**53), "9007199254740992"),
    (-0.0, "0"),
    (0.1, "0.1"),
    (1e-7, "0.0000001"),
    (10000000000.5, "10000000000.5"),
    (123456789012345.6, "123456789012345.6"),
    (math.nan, ""),
    (math.inf, "inf"),
    (None, ""),
]


def test_numbers_have_no_exponent_and_whole_ones_no_point() -> None:
    values, texts = zip(*FLOATS, strict=True)
    assert to_text(pa.array(values)).to_pylist() == [*texts]
    assert from_objects(values).to_pylist() == [*texts]
    singles = pa.array([1e10, 1e-7, 19.99, math.nan, 16777216e6], pa.float32())
    expected = ["10000000000", "0.0000001", "19.99", "", "16777216000000"]
    assert to_text(singles).to_pylist() == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_by_the_fewest_digits_that_tell_it(value: float) -> None:
    [text] = to_text(pa.array([value])).to_pylist()
    assert float(text) == value
    assert not {*text} - {*"-.0123456789"}
    assert len(text.replace(".", "").strip("-0")) <= 17
    assert text == from_objects([value, "x"]).to_pylist()[0]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.decimal128(20, 10), "0.0000001", "0.0000001000"),
        (pa.decimal128(20, 10), "0", "0.0000000000"),
        (pa.decimal128(10, -2), "12300", "12300"),
        (pa.decimal256(60, 2), "1.50", "1.50"),
    ],
)
def test_decimals_have_no_exponent(kind: pa.DataType, value: str, text: str) -> None:
    assert to_text(pa.array([Decimal(value), None], kind)).to_pylist() == [text, ""]


MIXED: list[tuple[Any, str]] = [
    (None, ""),
    ("x", "x"),
    (7, "7"),
    (2**70, str(2**70)),
    (1.0, "1"),
    (1e12, "1000000000000"),
    (True, "true"),
    (Decimal("1.50"), "1.50"),
    (Decimal(2), "2"),
    (Decimal("1E+5"), "100000"),
    (Decimal("NaN"), ""),
    (dt.date(2026, 1, 2), "2026-01-02"),
    (dt.datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),  # noqa: DTZ001
    (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (b"x", "x"),
    (memoryview(b"\xff\0"), "ff00"),
    ({"a": 1}, '{"a":1}'),
    ({"b": [1, "x"]}, '{"b":[1,"x"]}'),
    ([1, "x", Decimal("1E+3")], '[1,"x","1000"]'),
    ({"n": 2**64}, f"{{'n': {2**64}}}"),  # JSON of databases has larger numbers than our library
    ([b"\xff"], "[b'\\xff']"),
    ({1: "a"}, "{1: 'a'}"),
]


@pytest.mark.parametrize(("value", "text"), MIXED)
def test_a_value_of_a_query_has_the_same_text_among_any_others(value: Any, text: str) -> None:
    values, texts = zip(*MIXED, strict=True)
    alike = [other for other in values if type(other) in (type(value), type(None))]
    assert from_objects([value]).to_pylist() == [text]
    assert from_objects(alike).to_pylist()[alike.index(value)] == text
    assert from_objects(values).to_pylist() == [*texts]


def test_uuids_have_their_usual_form_in_every_part_of_a_column() -> None:
    ids = [UUID(int=n << 64 | n) for n in range(5)]
    column = pa.array([one.bytes for one in ids] + [None], pa.uuid())
    assert to_text(column).to_pylist() == [*map(str, ids), ""]
    assert to_text(column[2:4]).to_pylist() == [str(ids[2]), str(ids[3])]
    assert to_text(column[:0]).to_pylist() == []
    assert to_text(pa.nulls(2, pa.uuid())).to_pylist() == ["", ""]
