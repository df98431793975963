"""Memory is returned after large steps alone: the search for it looks at the whole process."""

from __future__ import annotations

import gc

import pytest

from mailsluice.core import memory
from mailsluice.core.memory import Trimming, return_memory


@pytest.mark.parametrize(("rows", "collections"), [(99_999, 0), (100_000, 1)])
def test_a_small_step_does_not_search_the_process(
    rows: int, collections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: done.append(1))
    return_memory(rows)
    assert len(done) == collections


def test_a_long_step_returns_memory_a_few_times_a_million_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[int] = []
    monkeypatch.setattr(memory, "_trim", lambda: done.append(1))
    trimming = Trimming()
    for _ in range(20):
        trimming.processed(50_000)
    assert len(done) == 10
    Trimming().processed(99_999)
    assert len(done) == 10
