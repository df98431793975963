"""Memory is returned after large steps alone: the search for it looks at the whole process."""

from __future__ import annotations

import gc

import pytest

from mailsluice.core.memory import return_memory


@pytest.mark.parametrize(("rows", "collections"), [(99_999, 0), (100_000, 1)])
def test_a_small_step_does_not_search_the_process(
    rows: int, collections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: done.append(1))
    return_memory(rows)
    assert len(done) == collections
