"""Which process sends over which part of which connection."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.operations.processes.layout import Part, laid_out, process_count

SESSIONS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 40), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("wanted", "sessions", "cores", "recipients", "count"),
    [
        (1, {"red": 20}, 8, 10**6, 1),
        (3, {"red": 20}, 2, 100, 3),  # a number is meant as it is
        (8, {"red": 2, "green": 1}, 8, 10**6, 3),  # but a process without a session sends nothing
        ("auto", {"red": 20}, 8, 10**6, 8),
        ("auto", {"red": 4}, 8, 10**6, 4),
        ("auto", {"red": 20}, 8, 35_000, 3),  # starting more takes longer than it saves
        ("auto", {"red": 20}, 8, 10, 1),
        ("auto", {"red": 20}, 1, 10**6, 1),
    ],
)
def test_the_number_of_processes(
    wanted: int | str, sessions: dict[str, int], cores: int, recipients: int, count: int
) -> None:
    assert process_count(wanted, sessions, cores=cores, recipients=recipients) == count


@pytest.mark.parametrize(
    ("sessions", "processes", "parts"),
    [
        ({"red": 4}, 1, [[Part("red", 1, 1)]]),
        ({"red": 4}, 2, [[Part("red", 1, 2)], [Part("red", 2, 2)]]),
        ({"red": 4, "green": 4}, 2, [[Part("red", 1, 1)], [Part("green", 1, 1)]]),
        # Whole connections first: the largest alone.
        (
            {"red": 4, "green": 9, "blue": 4},
            2,
            [[Part("green", 1, 1)], [Part("red", 1, 1), Part("blue", 1, 1)]],
        ),
        # Then parts of the connection with the most sessions.
        (
            {"red": 4, "green": 9},
            3,
            [[Part("red", 1, 1)], [Part("green", 1, 2)], [Part("green", 2, 2)]],
        ),
    ],
)
def test_whole_connections_come_first_then_parts_of_their_sessions(
    sessions: dict[str, int], processes: int, parts: list[list[Part]]
) -> None:
    assert laid_out(sessions, processes) == parts


@given(SESSIONS, st.integers(1, 64))
def test_each_session_is_in_one_part_and_no_process_is_idle(
    sessions: dict[str, int], wanted: int
) -> None:
    processes = process_count(wanted, sessions, cores=1, recipients=0)
    layout = laid_out(sessions, processes)
    assert len(layout) == processes
    assert all(layout)
    total: Counter[str] = Counter()
    for part in (part for parts in layout for part in parts):
        total[part.connection] += part.sessions(sessions[part.connection])
    assert total == sessions
