"""Processes that share the slots of a limit release some of them to each other."""

from __future__ import annotations

import math
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.support.session_slots.sharing import Lease, kept, passed_on, surplus


@given(
    limit=st.integers(0, 50),
    holders=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_processes_release_about_the_excess(limit: int, holders: list[int], uniform: float) -> None:
    taken = sum(holders)
    given_up = [surplus(limit, taken, held, uniform) for held in holders]
    assert all(0 <= one <= held for one, held in zip(given_up, holders, strict=True))
    assert abs(sum(given_up) - max(0, taken - limit)) <= len(holders)
    if len(holders) == 1:
        assert sum(given_up) == max(0, taken - limit)


@given(held=st.integers(1, 20), others=st.integers(0, 20), limit=st.integers(0, 39))
def test_processes_release_exactly_the_excess_on_average(
    held: int, others: int, limit: int
) -> None:
    taken = held + others
    chances = [(i + 0.5) / 1000 for i in range(1000)]
    average = sum(surplus(limit, taken, held, one) for one in chances) / 1000
    assert math.isclose(average, max(0, taken - limit) * held / taken, abs_tol=0.001)


@given(slots=st.lists(st.integers(1, 20), max_size=5), most=st.integers(0, 40))
def test_leases_that_are_kept_fit_and_the_largest_that_fits_is_among_them(
    slots: list[int], most: int
) -> None:
    staying = kept([Lease(uuid4(), number, 0.0) for number in slots], most)
    assert sum(lease.slots for lease in staying) <= most
    fitting = [number for number in slots if number <= most]
    assert max((lease.slots for lease in staying), default=0) == max(fitting, default=0)


@pytest.mark.parametrize(
    ("held", "used", "other_holds", "other_wants", "passes"),
    [
        (10, 2, 0, 4, 4),  # what it does not use
        (10, 9, 0, 4, 1),
        (10, 9, 4, 4, 0),  # the other has what it wants
        (4, 4, 0, 4, 1),  # one of those that it uses
        (4, 4, 2, 4, 1),
        (4, 4, 3, 4, 0),  # the other would have more then
        (1, 1, 0, 4, 0),  # the last one stays
        (0, 4, 0, 4, 0),
    ],
)
def test_a_process_passes_on_what_it_can_do_without(
    held: int, used: int, other_holds: int, other_wants: int, passes: int
) -> None:
    assert passed_on(held, used, other_holds, other_wants) == passes
