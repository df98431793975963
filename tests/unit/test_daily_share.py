"""A day's room of a warm-up is shared out to mailbox providers, whose own caps hold too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.assignment.daily_share import day_share

NO_CAP = 10**12


def share(room: int, providers: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Share a room out to providers, each with its waiting recipients and its cap."""
    waiting, caps = np.array(providers, np.int64).reshape(-1, 2).T
    return day_share(room, waiting, caps)


@pytest.mark.parametrize(
    ("room", "providers", "expected"),
    [
        (700, [(5_000, NO_CAP), (2_000, NO_CAP)], [500, 200]),
        (700, [(5_000, 400), (2_000, NO_CAP)], [400, 300]),  # the others take what a cap leaves
        (700, [(5_000, 400), (2_000, 200)], [400, 200]),  # no more is allowed
        (100, [(5_000, 10), (2_000, 200), (3_000, NO_CAP)], [10, 36, 54]),
        (10, [(1, 9), (1, 9), (1, 9)], [1, 1, 1]),
        (2, [(1, 9), (1, 9), (1, 9)], [1, 1, 0]),  # of equal remainders the earlier one
        (5, [(9, 0), (0, 9)], [0, 0]),
        (0, [(9, 9)], [0]),
    ],
)
def test_the_room_is_shared_out_in_proportion_up_to_the_caps(
    room: int, providers: list[tuple[int, int]], expected: list[int]
) -> None:
    assert share(room, providers).tolist() == expected


@given(
    st.integers(0, 5_000),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 2_000)), min_size=1, max_size=12),
)
def test_the_room_is_filled_and_only_a_cap_gives_a_provider_less_than_its_part(
    room: int, providers: list[tuple[int, int]]
) -> None:
    waiting, caps = np.array(providers).T
    most = np.minimum(waiting, caps)

    shared = day_share(room, waiting, caps)

    assert shared.sum() == min(room, most.sum())
    assert np.all((shared >= 0) & (shared <= most))
    is_open = (shared < most) & (waiting > 0)
    if is_open.any():  # their parts are equal, but for rounding; a provider at its cap has no more
        part = max((shared[is_open] - 1) / waiting[is_open])
        assert np.all((shared + 1)[is_open] >= part * waiting[is_open] - 1e-6)
        least = min((shared[is_open] + 1) / waiting[is_open])
        assert np.all(shared <= least * waiting + 1 + 1e-6)
