"""The rule that delays the next start."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mailsluice.limits import Cap, Hold, Limit, OpenStarts, Rules, Usage, give_out, hold
from mailsluice.limits.usage import gap

HOUR, MINUTE = Limit(3_600, 3_600.0), Limit(10, 60.0)


def used(rules: Rules, replies: int, at: float) -> Usage:
    """Return a usage with so many replies at the same moment."""
    usage = Usage(next_at=at)
    usage.report("other", 0, at, [at] * replies, rules)
    return usage


def test_without_rules_nothing_delays_a_start() -> None:
    assert hold({}, 0.0) is None
    assert hold({"red": (Usage(), Rules())}, 0.0) is None


def test_the_even_spacing_of_the_slowest_limit_delays_a_start() -> None:
    rules = Rules((Limit(100, 1.0), HOUR))
    usage = Usage()
    give_out([(usage, rules)], 100.0, 100.0, 1)
    assert hold({"red": (usage, rules)}, 100.0) == Hold("red", HOUR, 100.0 + gap(usage, rules))


def test_a_full_window_delays_a_start_until_there_is_room() -> None:
    rules = Rules((MINUTE, Limit(1_000, 1.0)))
    delay = hold({"red": (used(rules, 10, 100.0), rules)}, 110.0)
    assert delay is not None
    assert (delay.key, delay.rule) == ("red", MINUTE)
    assert 160.0 < delay.until < 161.0


def test_with_all_starts_open_the_next_moment_is_unknown() -> None:
    rules = Rules((Limit(1, 60.0),))
    usage = Usage(open={"other": OpenStarts(1, 130.0)})
    assert hold({"red": (usage, rules)}, 100.0) == Hold("red", rules.limits[0], math.inf)


def test_of_several_keys_the_latest_decides() -> None:
    mine, all_ = Rules((MINUTE,)), Rules((HOUR,))
    shared = {"red": (used(mine, 10, 50.0), mine), "all": (used(all_, 3_600, 100.0), all_)}
    delay = hold(shared, 105.0)
    assert delay is not None
    assert (delay.key, delay.rule) == ("all", HOUR)


def test_a_full_cap_delays_a_start_until_a_cap_with_room() -> None:
    today, tomorrow, later = Cap(0.0, 100.0, 5), Cap(100.0, 200.0, 0), Cap(200.0, 300.0, 9)
    rules = Rules(caps=(today, tomorrow, later))
    usage = Usage(next_at=10.0, capped={0.0: 5})
    assert hold({"red": (usage, rules)}, 50.0) == Hold("red", tomorrow, 200.0)


@given(
    limits=st.lists(
        st.builds(Limit, st.integers(1, 50), st.sampled_from([1.0, 60.0, 3_600.0])),
        min_size=1,
        max_size=3,
    ),
    before=st.integers(0, 100),
    most=st.integers(1, 60),
)
def test_a_hold_ends_at_the_next_start(limits: list[Limit], before: int, most: int) -> None:
    rules = Rules(tuple(limits))
    usage = used(rules, before, 1_000.0)
    moments, next_at = give_out([(usage, rules)], 1_000.0, 1_000.25, most)
    usage.report("me", len(moments), 1_030.0, (), rules)
    delay = hold({"red": (usage, rules)}, 1_000.0)
    assert (delay.until if delay else 1_000.0) == max(1_000.0, next_at)
