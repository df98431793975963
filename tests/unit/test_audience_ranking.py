"""The column that orders a campaign's recipients is read as numbers or dates."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from mailsluice.audience.ranking import Ranking, RankingReader
from mailsluice.core.errors import AudienceError


def values_of(*chunks: list[str]) -> list[float]:
    result: list[float] = ranking(*chunks).by_recipient.tolist()
    return result


def ranking(*chunks: list[str], column: str = "score") -> Ranking:
    """Read chunks of values of accepted rows."""
    reader = RankingReader(column)
    for texts in chunks:
        frame = pd.DataFrame({"score": pd.Series(texts, dtype="str"), "clicks": ""})
        reader.add(frame, np.ones(len(texts), np.bool))
    return reader.finish(np.ones(sum(map(len, chunks)), np.bool))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        (" -3.5 ", -3.5),
        ("+.5", 0.5),
        ("1e3", 1000),
        ("007", 7),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC).timestamp()),
        ("2026-01-05 10:00", datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()),
        ("2026-01-05T10:00:00Z", datetime(2026, 1, 5, 10, tzinfo=UTC).timestamp()),
        ("2026-01-05T10:00:00.5+02:00", datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp() + 0.5),
        ("2026-01-05T10:00:00+0200", datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()),
        ("1969-12-31T23:59:59.000000000Z", -1),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC).timestamp()),
    ],
)
def test_numbers_and_iso_dates_are_values(text: str, value: float) -> None:
    assert values_of([text]) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "often",
        "nan",
        "inf",
        "1e999",
        "1,5",
        "1_000",
        "٣",
        "05.01.2026",
        "2026-02-30",
        "2026-01-05T25:00",
    ],
)
def test_anything_else_is_no_value(text: str) -> None:
    result = ranking(["2026-01-05", "1", "2"], [text, ""])
    assert result.by_recipient[1:3].tolist() == [1, 2]
    assert np.isnan(result.by_recipient[[0, 3, 4]]).all()  # the numbers are in the majority
    assert (result.empty, result.unreadable) == (1, 2)
    assert result.notes() == [
        "order_by 'score': these recipients come last: 1 without a value, 2 with a value that is"
        " not among its numbers"
    ]


def test_a_column_of_dates_has_no_place_for_a_number() -> None:
    """A zero that stands for "never" must not count as 1970."""
    result = ranking(["2026-01-05", "0", "2026-01-06"])
    assert np.isnan(result.by_recipient[1])
    assert (result.empty, result.unreadable) == (0, 1)


def test_a_whole_column_needs_no_note() -> None:
    assert ranking(["1"], ["2"], []).notes() == []


def test_a_date_is_read_alike_beside_any_others() -> None:
    """Within a chunk with nanoseconds, pandas cannot tell years beyond 2262."""
    far, fine = "9999-12-31", "2026-01-05T00:00:00.123456789"
    assert values_of([far, fine]) == values_of([far], [fine])


@pytest.mark.parametrize("texts", [["often", "rarely", ""], [""]])
def test_a_column_without_values_is_refused(texts: list[str]) -> None:
    with pytest.raises(AudienceError, match="'score' cannot order the recipients: it has no num"):
        ranking(texts)


def test_a_column_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(AudienceError) as caught:
        ranking(["1"], column="Scores")
    assert str(caught.value) == (
        "there is no column 'Scores' to order by: did you mean 'score'? The recipients have the"
        " columns: 'clicks', 'score'. Correct order_by, or add the column"
    )


def test_only_accepted_rows_count() -> None:
    reader = RankingReader("score")
    frame = pd.DataFrame({"score": pd.Series(["1", "bad address", "3", "duplicate"], dtype="str")})
    reader.add(frame, np.array([True, False, True, True]))
    result = reader.finish(np.array([True, True, False]))
    assert result.by_recipient.tolist() == [1, 3]
    assert result.notes() == []
