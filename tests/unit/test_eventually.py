"""The one way in which tests wait."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.eventually import eventually, eventually_async


def test_the_first_thing_that_holds_is_returned() -> None:
    numbers = itertools.count()
    assert eventually(lambda: next(numbers), lambda number: number >= 3) == 3
    assert eventually(iter(["", "", "there", "later"]).__next__) == "there"


def test_a_wait_that_ends_by_its_bound_tells_what_was_waited_for_and_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match=r"mail for all: after 0\.01 s still 'nothing'"):
        eventually(lambda: "nothing", lambda _: False, seconds=0.01, what="mail for all")


def test_an_error_of_the_look_ends_the_wait() -> None:
    def look() -> bool:
        raise RuntimeError("the process has ended")

    with pytest.raises(RuntimeError, match="has ended"):
        eventually(look)


async def test_in_a_coroutine_the_look_may_be_one_too() -> None:
    numbers = itertools.count()

    async def look() -> int:
        return next(numbers)

    assert await eventually_async(look, lambda number: number >= 3) == 3
    assert await eventually_async(lambda: next(numbers)) == 4
    with pytest.raises(AssertionError, match=r"after 0\.01 s still"):
        await eventually_async(look, lambda _: False, seconds=0.01)


def test_looks_that_take_long_are_a_fifth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def passes(seconds: float) -> float:
        nonlocal now
        now += seconds
        return now

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", passes)
    looks = itertools.count(1)
    assert eventually(lambda: passes(0.01) and next(looks), lambda number: number == 5) == 5
    assert now == pytest.approx(5 * 0.01 + 4 * 0.04)
