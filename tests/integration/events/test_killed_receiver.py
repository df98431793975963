"""Events that come in any order, repeatedly, to a receiver that is killed, on both databases."""

from __future__ import annotations

import random

import pytest

from benchmarks.events import batches, differences, make_events, push_all, read_all
from mailsluice.store import Database
from tests.thorough import thorough_only


@pytest.mark.parametrize(
    "kind",
    ["postgresql", *thorough_only(pytest.param("sqlite", marks=pytest.mark.thorough))],
    indirect=True,
)
def test_shuffled_and_repeated_events_of_a_killed_receiver_end_in_the_same_rows(
    database: Database, database_url: str
) -> None:
    """The small form of `python -m benchmarks.events`: nothing is lost or counts twice."""
    chosen = random.Random(7)
    made = make_events(database, 1_000, chosen)
    receiver = push_all(database_url, [*batches(made, 3, chosen, together=50)], kills=2)
    assert receiver.kills == 2
    assert differences(database, read_all(made)) == 0
    assert differences(database, read_all(made[1:])) > 0  # the comparison sees a single event
