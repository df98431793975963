"""Template variables as JSON."""

from __future__ import annotations

import orjson
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience.variables import to_json

texts = st.text(max_size=10) | st.text('"\\\n\t\0/ä\u2028x', max_size=6)


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=4, unique=True), st.data())
def test_the_json_equals_that_of_a_json_library(names: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(*[texts] * len(names)), max_size=6))
    frame = pd.DataFrame(rows, columns=names, dtype="str")

    written = to_json(frame).to_pylist()

    expected = [orjson.dumps(dict(zip(names, row, strict=True))).decode() for row in rows]
    assert written == expected


def test_without_variables_every_row_has_an_empty_object() -> None:
    assert to_json(pd.DataFrame(index=range(2))).to_pylist() == ["{}", "{}"]
