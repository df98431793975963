"""How many messages could start soon under limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.limits import Cap, Limit, Report, Rules, Usage, exchange, room

_NOW = 1_000_000.0
_MINUTE = Limit(60, 60.0)


def sent(rules: Rules, messages: int) -> Usage:
    """The usage after so many messages that were answered a moment ago."""
    usage = Usage()
    usage.report("a", 0, _NOW, [_NOW - 0.01] * messages, rules)
    return usage


@pytest.mark.parametrize(
    ("rules", "messages", "expected"),
    [
        (Rules(), 0, 1_000),
        (Rules((_MINUTE,)), 0, 30),
        (Rules((_MINUTE,)), 60, 0),  # the window is full for most of a minute
        (Rules((), (Cap(_NOW - 10, _NOW + 1_000, 7),)), 3, 4),
        (Rules((), (Cap(_NOW - 10, _NOW + 1_000, 7),)), 7, 0),
    ],
)
def test_the_room_of_half_a_minute(rules: Rules, messages: int, expected: int) -> None:
    """What windows and caps leave."""
    assert room([(sent(rules, messages), rules)], _NOW, 30.0, 1_000) == expected


def test_the_narrowest_of_several_limits_decides() -> None:
    """A connection's own limit, and that of the campaign."""
    wide, narrow = Rules((Limit(1_000, 1.0),)), Rules((_MINUTE,))
    assert room([(Usage(), wide), (Usage(), narrow)], _NOW, 30.0, 1_000) == 30


@given(st.integers(1, 500), st.sampled_from([1.0, 60.0, 3_600.0]), st.integers(0, 300))
def test_there_is_room_for_as_many_as_are_then_given_out(
    count: int, window: float, messages: int
) -> None:
    """The room is what a sender would be given, now and within the time."""
    rules = Rules((Limit(count, window),))
    foreseen = room([(sent(rules, messages), rules)], _NOW, 30.0, 200)
    moments, _ = exchange(
        [(sent(rules, messages), rules)], Report("b", 0, ()), _NOW, _NOW + 30.0, 200
    )
    assert foreseen == len(moments)
