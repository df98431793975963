"""The sessions of connections to one host, divided, and what a check says about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.errors import CampaignError
from mailsluice.operations.host_sessions import divided
from mailsluice.operations.verify_connection.host_remarks import host_remarks
from mailsluice.smtp.connection import Connection


def to_host(name: str, sessions: int, most: int | None, host: str = "relay") -> Connection:
    return Connection(name, host, 25, max_sessions=sessions, max_sessions_per_host=most)


def test_connections_without_a_limit_for_their_host_are_as_before() -> None:
    connections = [to_host("red", 20, None), to_host("green", 7, None)]
    assert divided(connections) == connections


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(8, 60))
def test_the_parts_are_within_the_hosts_limit_and_at_least_one(
    wanted: list[int], most: int
) -> None:
    connections = [to_host(str(i), sessions, most + i) for i, sessions in enumerate(wanted)]
    parts = [connection.max_sessions for connection in divided(connections)]
    assert sum(parts) <= most
    assert all(1 <= part <= sessions for part, sessions in zip(parts, wanted, strict=True))


def test_hosts_are_divided_apart_and_compared_without_case() -> None:
    connections = [
        to_host("red", 10, 6, "A.example."),
        to_host("green", 5, 9, "a.example"),
        to_host("blue", 10, 4, "b.example"),
        to_host("grey", 10, None, "a.example"),
    ]
    assert [one.max_sessions for one in divided(connections)] == [4, 2, 4, 10]


def test_more_connections_than_sessions_are_refused() -> None:
    with pytest.raises(CampaignError, match=r"red, green share the host relay.*raise it"):
        divided([to_host("red", 4, 1), to_host("green", 4, 1)])


@pytest.mark.parametrize(
    ("most", "others", "remarks"),
    [
        (5, {}, []),
        (5, {"green": 5}, ["The sessions of red, green count together: at most 5 at once"]),
        (
            5,
            {"green": 3, "blue": 9},
            [
                "The sessions of red, green, blue count together: at most 3 at once, the lowest"
                " max_sessions_per_host (green)"
            ],
        ),
        (
            5,
            {"green": None},
            ["green has the same host and no max_sessions_per_host: its sessions are not counted"],
        ),
    ],
)
def test_a_check_says_how_the_sessions_of_a_host_are_shared(
    most: int, others: dict[str, int | None], remarks: list[str]
) -> None:
    said = host_remarks("red", most, others)
    assert [remark.rstrip(".") for remark in said] == remarks
