"""Single recipients of an audience, and counts of empty values."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience.hosting import by_table
from mailsluice.audience.keys import Keys
from mailsluice.audience.resolution import resolve
from mailsluice.audience.resolved import Audience
from mailsluice.audience.sample import Sample, find, first_in
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from tests.databases import no_database
from tests.thorough import examples

_TEXT = st.text(st.sampled_from('ab,:{}"\\ é'), max_size=4)


def gone(emails: pd.Series[str], _: Keys) -> dict[int, Suppression]:
    return {
        at: Suppression(email, SuppressionReason.MANUAL, "here", 0.0)
        for at, email in enumerate(emails)
        if email.startswith("gone")
    }


def resolved(folder: str | Path, rows: list[list[str]]) -> Audience:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    path = Path(folder, "recipients.csv")
    path.write_text(text.getvalue(), encoding="utf-8")
    return resolve(
        [RecipientSource(path=str(path))],
        suppressed=gone,
        hosted=by_table,
        connect=no_database,
    )


ROWS = [
    ["email", "name", "city"],
    ["a@x.example.com", "Ann", ""],
    ["gone@x.example.com", "", ""],  # suppressed: does not count
    ["b@x.example.com", "", "Bonn"],
    ["nobody", "", ""],  # invalid
    ["C@x.example.com", "", ""],
    ["A@X.example.com", "", ""],  # a duplicate
]


def test_the_first_recipients_come_in_send_order(tmp_path: Path) -> None:
    with resolved(tmp_path, ROWS) as audience:
        assert first_in(audience, np.array([2, 0, 1]), 2) == [
            Sample("C@x.example.com", {"name": "", "city": ""}),
            Sample("a@x.example.com", {"name": "Ann", "city": ""}),
        ]
        assert [sample.row for sample in first_in(audience, np.array([2, 0, 1]), 3)] == [5, 1, 3]


def test_a_recipient_is_found_by_any_spelling_of_the_address(tmp_path: Path) -> None:
    with resolved(tmp_path, ROWS) as audience:
        assert find(audience, " A@X.EXAMPLE.com ").variables["name"] == "Ann"
        for other in ("gone@x.example.com", "a.@x.example.com", "nobody", ""):
            with pytest.raises(AudienceError, match="is not in the audience") as refused:
                find(audience, other)
            assert "example" not in str(refused.value)


def test_only_accepted_rows_count_as_empty(tmp_path: Path) -> None:
    with resolved(tmp_path, ROWS) as audience:
        assert audience.empty_values(["city", "name"]) == {"city": 2, "name": 2}
        assert audience.empty_values([]) == {}


@settings(max_examples=examples(60))
@given(st.data())
def test_empty_values_are_counted_correctly(data: st.DataObject) -> None:
    names = data.draw(
        st.lists(_TEXT.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True)
    )
    values = data.draw(st.lists(st.tuples(*(_TEXT for _ in names)), min_size=1, max_size=8))
    rows = [[f"u{i}@x.example.com", *row] for i, row in enumerate(values)]
    with (
        tempfile.TemporaryDirectory() as folder,
        resolved(folder, [["email", *names], *rows]) as audience,
    ):
        counts = audience.empty_values(names)
        known = first_in(audience, np.arange(len(audience)), len(audience))
        assert len(known) == len(values)
    assert counts == {name: sum(not row.variables[name] for row in known) for name in names}
