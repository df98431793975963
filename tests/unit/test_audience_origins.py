"""Several sources are one audience: what each row says about its source."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience.hosting import by_table
from mailsluice.audience.resolution import resolve
from mailsluice.audience.resolved import Audience
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.source_counts import row_in_source
from tests.databases import no_database
from tests.thorough import examples


def resolved(
    folder: str | Path, *texts: str, exclude: Sequence[str] = (), **fields: Any
) -> Audience:
    """Resolve CSV texts as the sources 0.csv, 1.csv and so on."""

    def sources(kind: str, texts: Sequence[str]) -> list[RecipientSource]:
        paths = [Path(folder, f"{kind}{number}.csv") for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        return [RecipientSource(path=str(path)) for path in paths]

    return resolve(
        sources("", texts),
        exclude=sources("not", exclude),
        suppressed=lambda emails, keys: {},
        hosted=by_table,
        connect=no_database,
        **fields,
    )


def rows(audience: Audience) -> list[tuple[str, int, dict[str, str]]]:
    """The address, the number of the source and the variables of each recipient."""
    order = np.arange(len(audience))
    numbers = audience.origins.numbers(order).tolist()
    frames = list(audience.chunks(order, rows=2))
    emails = [email for frame in frames for email in frame["email"]]
    variables = [json.loads(text) for frame in frames for text in frame["variables"]]
    return list(zip(emails, numbers, variables, strict=True))


def test_a_source_without_a_column_has_empty_values_there(tmp_path: Path) -> None:
    texts = [
        "email,name\nann@b.de,Ann\n",
        "city,email\nBonn,bob@b.de\nUlm,ann@b.de\n",
        "email\ncid@b.de\n",
    ]
    with resolved(tmp_path, *texts) as audience:
        assert audience.columns == ("name", "city")
        assert rows(audience) == [
            ("ann@b.de", 1, {"name": "Ann", "city": ""}),
            ("bob@b.de", 2, {"city": "Bonn", "name": ""}),
            ("cid@b.de", 3, {"name": "", "city": ""}),
        ]
        assert audience.empty_values(["name", "city"]) == {"name": 2, "city": 2}


def test_each_source_says_what_became_of_its_rows(tmp_path: Path) -> None:
    texts = ["email\nann@b.de\nbad\nout@b.de\n", "email\n", "email\nANN@b.de\noff@b.de\nbob@b.de\n"]
    exclude = ["email\nout@b.de\n", "email\noff@b.de\n"]
    with resolved(tmp_path, *texts, exclude=exclude) as audience:
        sources = audience.sources()
        assert [Path(source.source).name for source in sources] == ["0.csv", "1.csv", "2.csv"]
        assert [(one.rows_before, one.read_rows, one.accepted) for one in sources] == [
            (0, 3, 1),
            (3, 0, 0),
            (3, 3, 1),
        ]
        assert [one.rejected["duplicate"] for one in sources] == [0, 0, 1]
        assert [one.rejected["excluded"] for one in sources] == [1, 0, 1]
        assert [one.rejected["invalid"] for one in sources] == [1, 0, 0]
        numbers = [int(row) for frame in audience.rejects() for row in frame["row"]]
        found = [row_in_source(row, sources) for row in numbers]
        assert [(row, Path(name or "").name) for row, name in found] == [
            (2, "0.csv"),
            (3, "0.csv"),
            (1, "2.csv"),
            (2, "2.csv"),
        ]
        assert audience.notes() == [f"{sources[1].source} has no rows: check the file or the query"]


def test_one_source_has_no_counts_of_its_own(tmp_path: Path) -> None:
    with resolved(tmp_path, "email\nann@b.de\n") as audience:
        assert audience.sources() == []
        assert not audience.origins.are_several
    assert row_in_source(7, []) == (7, None)


def test_the_column_that_orders_may_be_missing_in_a_source(tmp_path: Path) -> None:
    texts = ["email,score\na@b.de,1\n", "email\nb@b.de\n"]
    with resolved(tmp_path, *texts, order_by="score") as audience:
        assert audience.ranking
        assert audience.ranking.empty == 1
    with pytest.raises(AudienceError, match="no column 'scores' to order by: did you mean 'score'"):
        resolved(tmp_path, *texts, order_by="scores")


def test_the_source_without_addresses_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudienceError, match=r"1\.csv has no column 'email'"):
        resolved(tmp_path, "email\na@b.de\n", "name\nAnn\n")


_LINES = st.lists(st.sampled_from(["a@b.de", "A@b.de", "c@d.de", "e@f.de", "bad", "x,y"]))


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(_LINES, min_size=1, max_size=4))
def test_several_sources_are_the_audience_of_their_concatenation(parts: list[list[str]]) -> None:
    lines = [line for part in parts for line in part]
    if not lines:
        return
    texts = ["email\n" + "".join(f"{line}\n" for line in part) for part in (lines, *parts)]
    with tempfile.TemporaryDirectory() as folder, resolved(folder, texts[0]) as whole:
        expected = [email for email, _, _ in rows(whole)]
        rejected = _rejected(whole)
        counts, keys = whole.counts(), whole.address_keys.copy()
        with resolved(folder, *texts[1:]) as audience:
            assert [email for email, _, _ in rows(audience)] == expected
            assert np.array_equal(audience.address_keys, keys)
            assert audience.counts() == counts
            assert _rejected(audience) == rejected
            for source, part in zip(audience.sources(), parts, strict=len(parts) > 1):
                assert source.read_rows == len(part)
                assert source.read_rows == source.accepted + sum(source.rejected.values())


def _rejected(audience: Audience) -> list[tuple[Any, ...]]:
    return [row for frame in audience.rejects() for row in frame.itertuples(index=False, name=None)]
