"""The test servers' mailbox providers do what the tests of limits and of the canary rely on."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.smtpd.mailbox_providers import Greylists, Refuses, Throttles
from tests.smtpd.recording import most_in


def test_greylisting_defers_the_first_attempt_of_each_recipient_alone() -> None:
    google = Greylists("gmail.com")
    replies = [google.answer(one) for one in ("ann@gmail.com", "bob@gmail.com", "ann@gmail.com")]
    assert replies == [Greylists.REPLY, Greylists.REPLY, None]
    assert google.accepted() == {"ann@gmail.com": 1}
    assert google.refused() == {Greylists.REPLY: 2}


def test_throttling_accepts_so_many_in_a_trailing_second_and_defers_the_others() -> None:
    times = [0.0, 0.5, 0.9, 1.0, 1.4, 1.5]
    microsoft = Throttles("outlook.com", per_second=2, clock=iter(times).__next__)
    accepted = [microsoft.answer("ann@outlook.com") is None for _ in times]
    assert accepted == [True, True, False, True, False, True]
    assert microsoft.times() == times


@pytest.mark.parametrize("percent", [0, 3, 33, 100])
def test_an_exact_share_is_refused_however_often_each_is_asked(percent: int) -> None:
    strict = Refuses("strict.example", percent=percent)
    people = [f"user{i}@strict.example" for i in range(200)]
    first = [strict.answer(one) for one in people]
    again = [strict.answer(one) for one in people]
    assert first == again
    assert sum(reply is not None for reply in first) == 2 * percent


def test_refusals_are_dead_addresses_and_blocks_in_turn() -> None:
    strict = Refuses("strict.example", percent=3)
    for i in range(200):
        strict.answer(f"user{i}@strict.example")
    codes = Counter(reply.split()[1] for reply in strict.refused().elements())
    assert codes == {b"5.1.1": 3, b"5.7.1": 3}


@pytest.mark.parametrize(
    ("times", "most"),
    [
        ([0.0], 1),
        ([0.0, 1.0, 2.0], 1),  # a window is open at its start
        ([0.0, 0.999, 1.0], 2),
        ([5.0, 0.3, 0.1, 0.2, 4.5, 4.6, 4.7], 4),  # in any order
    ],
)
def test_trailing_windows_are_counted_exactly(times: list[float], most: int) -> None:
    assert most_in(1.0, times) == most
