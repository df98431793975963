"""Rows are written in an order and read back in another."""

from __future__ import annotations

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience import spool as module
from mailsluice.audience.spool import Spool

SCHEMA = pa.schema({"number": pa.int64(), "text": pa.large_string()})


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=6), st.randoms(), st.integers(1, 8))
def test_rows_can_be_read_back_in_any_order(
    sizes: list[int], random: Random, bucket_rows: int
) -> None:
    count = sum(sizes)
    order = random.sample(range(count), random.randint(0, count))
    place = np.full(count, -1, np.int32)
    place[order] = np.arange(len(order))
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BUCKET_ROWS", bucket_rows)
        spool = Spool(Path(directory, "rows"), SCHEMA)
        numbers = iter(range(count))
        for size in sizes:
            part = [next(numbers) for _ in range(size)]
            spool.append(pa.record_batch([part, [f"text {i}" for i in part]], schema=SCHEMA))
        spool.close()

        batches = list(spool.arranged(place, ["text", "number"]))

        assert [path.name for path in Path(directory).iterdir()] == ["rows"]
    assert [row for batch in batches for row in batch.to_pylist()] == [
        {"text": f"text {i}", "number": i} for i in order
    ]
    assert all(batch.num_rows <= bucket_rows for batch in batches)


def test_the_number_of_open_files_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUCKET_ROWS", 2)
    monkeypatch.setattr(module, "_MAX_BUCKETS", 3)
    spool = Spool(tmp_path / "rows", SCHEMA)
    spool.append(pa.record_batch([range(20), ["text"] * 20], schema=SCHEMA))
    spool.close()

    batches = list(spool.arranged(np.arange(20, dtype=np.int32)[::-1], ["number"]))

    assert [batch.num_rows for batch in batches] == [7, 7, 6]
    assert [row["number"] for batch in batches for row in batch.to_pylist()] == [*range(19, -1, -1)]
