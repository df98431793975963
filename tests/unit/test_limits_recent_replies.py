"""The replies of a window, counted in steps: none leaves early, and the size is bounded."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.limits import Usage
from mailsluice.limits.recent_replies import RecentReplies

EPOCH = 1.7e9
reports = st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=30), min_size=1, max_size=8)


def counted(window: float, reports: list[list[float]]) -> RecentReplies:
    replies = RecentReplies(window)
    for report in reports:
        replies.add(EPOCH + np.array(report))
    return replies


@given(st.sampled_from([25.0, 60.0, 3_600.0, 604_800.0]), reports, st.floats(0, 200))
def test_a_reply_leaves_after_its_window_and_at_most_a_step_and_the_drift_later(
    window: float, reports: list[list[float]], now: float
) -> None:
    moments = sorted(moment for report in reports for moment in report)
    replies = counted(window, reports)
    assert replies.total == len(moments)
    room = replies.room_at(np.arange(1, len(moments) + 2)) - EPOCH
    assert room[-1] == np.inf
    for moment, left in zip(moments, room, strict=False):
        assert moment + window < left <= moment + window * (1 + 1 / 500 + 6e-4) + 1e-5
    replies.expire(EPOCH + now)
    assert replies.total == len(moments) - bisect_right(list(room), now)


def test_replies_come_back_from_their_stored_form() -> None:
    replies = counted(60.0, [[3.0, 3.0], [1.0, 90.0]])
    first, counts = orjson.loads(orjson.dumps(replies.to_json()))
    again = RecentReplies(60.0, first, counts)
    assert list(again.room_at(np.arange(1, 5))) == list(replies.room_at(np.arange(1, 5)))


def test_a_reply_out_of_reach_does_not_fill_the_memory() -> None:
    """A clock may have been set by years."""
    replies = counted(1.0, [[5.0], [5.0 - 1e8], [6.0]])
    assert replies.total == 2
    assert len(replies) <= 2_001


@given(st.sampled_from([1.0, 60.0, 86_400.0]), st.lists(st.floats(0, 80), min_size=1))
def test_states_of_earlier_versions_count_each_reply_as_long_as_those_did(
    window: float, moments: list[float]
) -> None:
    """They counted in steps of a 250th of a window, from the start of a step to its end."""
    step = window / 250
    cells = Counter(int((EPOCH + moment) // step) for moment in moments)
    stored: dict[str, object] = {
        "next_at": None,
        "open": {},
        "replied": [[window, [list(cell) for cell in cells.items()]]],
        "capped": [],
    }
    kept = {cell: count for cell, count in cells.items() if cell >= max(cells) - 999}
    replies = Usage.from_json(stored).replied[window]
    assert replies.total == sum(kept.values())
    left = replies.room_at(np.arange(1, replies.total + 1))
    ends = sorted((cell + 1) * step for cell, count in kept.items() for _ in range(count))
    assert left == pytest.approx(np.array(ends) + window * (1 + 5e-4), abs=1e-4 * step + 1e-5)
