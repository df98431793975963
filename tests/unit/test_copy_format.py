"""PostgreSQL's binary COPY format, byte by byte."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mailsluice.store.copy_format import encoded
from mailsluice.store.schema import recipients


def test_a_row_is_its_number_of_fields_and_each_length_and_value() -> None:
    rows = pd.DataFrame({"email": ["ä@b"], "code": [451]})

    content = encoded(recipients, rows, {"status": "pending", "campaign_id": 7})

    assert bytes(content) == (
        b"\x00\x04"
        b"\x00\x00\x00\x04\xc3\xa4@b"
        b"\x00\x00\x00\x02\x01\xc3"
        b"\x00\x00\x00\x07pending"
        b"\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07"
    )


@pytest.mark.parametrize("missing", [None, np.nan])
@pytest.mark.parametrize("name", ["reply", "next_attempt_at", "code"])
def test_a_missing_value_is_null_in_a_column_of_any_type(name: str, missing: object) -> None:
    rows = pd.DataFrame({name: pd.Series([missing], dtype=object)})
    assert bytes(encoded(recipients, rows, {})) == b"\x00\x01\xff\xff\xff\xff"


def test_an_empty_text_is_not_null() -> None:
    rows = pd.DataFrame({"reply": ["", None]})
    assert bytes(encoded(recipients, rows, {})) == (
        b"\x00\x01\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff"
    )


def test_a_number_that_its_column_cannot_hold_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="40000"):
        encoded(recipients, pd.DataFrame({"code": [40_000]}), {})


def test_no_rows_are_no_bytes() -> None:
    assert len(encoded(recipients, pd.DataFrame({"email": pd.Series([], dtype="str")}), {})) == 0
