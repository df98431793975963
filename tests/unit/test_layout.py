"""The sequence of routes has every share exactly everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailsluice.assignment.layout import lay_out
from mailsluice.core import pieces

counts = st.one_of(
    st.lists(st.integers(0, 300), min_size=1, max_size=12),  # of any size
    st.lists(st.integers(0, 3), min_size=1, max_size=100),  # many tiny counts
    st.lists(st.sampled_from([1, 10, 100, 1_000]), min_size=2, max_size=8),  # of all magnitudes
)


@settings(deadline=None)
@given(counts)
@example([1, 100, 100, 100, 100])  # where a tree of two-way splits is off by more than one
@example([90_001, 90_001, 90_002])  # longer than a piece
@example([300_001, 300_002])
def test_every_prefix_is_within_one_message_of_the_shares(counts: list[int]) -> None:
    sequence = lay_out(counts)

    total = sum(counts)
    assert len(sequence) == total
    length = np.arange(1, total + 1)
    for route, count in enumerate(counts):
        reached = np.cumsum(sequence == route)
        assert np.all(np.abs(reached * total - length * count) < total)
        assert count == 0 or reached[-1] == count


@settings(deadline=None)
@given(counts, st.integers(1, 50))
def test_the_layout_does_not_depend_on_the_size_of_pieces(counts: list[int], piece: int) -> None:
    whole = lay_out(counts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_PIECE", piece)
        assert np.array_equal(lay_out(counts), whole)
