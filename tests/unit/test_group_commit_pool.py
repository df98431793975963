"""What the connections of a process claim from a pool, and in whose turn they are given starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from mailsluice.core.status import UNCLAIMED
from mailsluice.delivery.group_commit import GroupCommit
from mailsluice.delivery.pool import Turns
from mailsluice.delivery.store_requests import ClaimedBatch, ClaimRequest, Requests, StartRequest
from mailsluice.store import EVERYBODY, Ask, Claimed, ClaimScope, Starts, Transaction
from tests.unit.test_group_commit import FakePeers


class FakePool:
    """A database and an outbox with recipients in a pool, and what was searched for."""

    is_pooled = True

    def __init__(self, number: int) -> None:
        self.pool = {*range(1, number + 1)}
        self.own: dict[str, set[int]] = {"red": set(), "green": set()}
        self.searches: list[tuple[str, int]] = []
        """Of each search: whose recipients, and the id after which it began."""
        self.due: float | None = None

    @contextmanager
    def write(self) -> Iterator[None]:
        yield

    def settle(self, *_: object) -> None: ...

    def claim(
        self,
        _: Transaction,
        connection: str,
        limit: int,
        after: int = 0,
        scope: ClaimScope = EVERYBODY,
        *,
        only_pending: bool = False,
    ) -> list[Claimed]:
        self.searches.append((connection, after))
        return _taken(self.own[connection], limit, after, attempts=1)

    def claim_from_pool(
        self, _: Transaction, connection: str, limit: int, after: int, scope: ClaimScope
    ) -> list[Claimed]:
        self.searches.append((UNCLAIMED, after))
        return _taken(self.pool, limit, after, attempts=0)

    def first_pending(
        self, _: Transaction, connection: str, after: int, scope: ClaimScope
    ) -> int | None:
        numbers = self.own.get(connection, self.pool)
        return min((number for number in numbers if number > after), default=None)

    def release(self, _: Transaction, ids: list[int]) -> None:
        self.pool |= {*ids}

    def next_due_seconds(self, *_: object) -> float | None:
        return self.due


def _taken(numbers: set[int], limit: int, after: int, *, attempts: int) -> list[Claimed]:
    chosen = sorted(number for number in numbers if number > after)[:limit]
    numbers -= {*chosen}
    return [Claimed(number, "", "{}", attempts, 0.0) for number in chosen]


def claimed(commit: GroupCommit, connection: str, limit: int, **fields: Any) -> ClaimedBatch:
    requests = Requests(claims=[ClaimRequest(connection, limit, asyncio.Future())], **fields)
    answers = commit.attempt(requests)
    commit.committed(requests, answers)
    return answers.batches[0]


@pytest.fixture
def pool() -> FakePool:
    return FakePool(20)


@pytest.fixture
def commit(pool: FakePool) -> GroupCommit:
    return GroupCommit(cast("Any", pool), cast("Any", pool), None, None)


def ids(batch: ClaimedBatch) -> list[int]:
    return [row.id for row in batch.rows]


async def test_connections_claim_from_the_pool_where_the_other_one_has_stopped(
    commit: GroupCommit, pool: FakePool
) -> None:
    assert ids(claimed(commit, "red", 5)) == [1, 2, 3, 4, 5]
    assert ids(claimed(commit, "green", 3)) == [6, 7, 8]
    assert ids(claimed(commit, "red", 2)) == [9, 10]
    assert [after for whose, after in pool.searches if whose == UNCLAIMED] == [0, 5, 8]


async def test_what_returns_to_the_pool_is_claimed_by_whoever_comes_first(
    commit: GroupCommit,
) -> None:
    claimed(commit, "red", 15)
    assert ids(claimed(commit, "green", 3, released=[4, 9])) == [4, 9, 16]


async def test_a_connections_own_recipients_come_first(commit: GroupCommit, pool: FakePool) -> None:
    claimed(commit, "red", 5)
    pool.own["red"] = {2, 3}  # attempted, and pending again
    assert ids(claimed(commit, "red", 4, released=[1])) == [2, 3, 1, 6]


async def test_a_connection_with_deferred_recipients_waits_for_those_of_its_peers(
    pool: FakePool,
) -> None:
    """They are due in an hour, but a peer may return recipients before."""
    pool.pool.clear()
    pool.due = 3_600.0
    peers = FakePeers(are_busy=True)
    commit = GroupCommit(cast("Any", pool), cast("Any", pool), peers, None)
    batch = claimed(commit, "red", 5)
    assert (batch.next_due_seconds, batch.look_in_seconds) == (3_600.0, 1.0)
    assert peers.has_idled  # a peer need not wait for what is deferred here


async def test_what_a_peer_returns_to_the_pool_is_found_while_that_peer_is_busy(
    pool: FakePool,
) -> None:
    """The peer may wait for its quota of next month, and keep the recipients unclaimed."""
    commit = GroupCommit(cast("Any", pool), cast("Any", pool), FakePeers(are_busy=True), None)
    assert len(ids(claimed(commit, "red", 20))) == 20
    assert claimed(commit, "red", 5).look_in_seconds
    pool.pool |= {4, 9}
    assert ids(claimed(commit, "red", 5)) == [4, 9]


async def test_a_connection_that_cannot_send_is_not_done_before_it_has_looked_at_the_whole_pool(
    pool: FakePool,
) -> None:
    """A peer has returned recipients that come before those of this process, and has ended."""
    commit = GroupCommit(cast("Any", pool), cast("Any", pool), FakePeers(are_busy=False), None)
    assert len(ids(claimed(commit, "red", 20))) == 20
    pool.pool |= {4, 9}
    assert claimed(commit, "red", 0).look_in_seconds
    assert ids(claimed(commit, "red", 5)) == [4, 9]
    assert claimed(commit, "red", 0).look_in_seconds is None


@pytest.mark.parametrize("are_left", [True, False])
async def test_a_connection_that_cannot_send_asks_whether_recipients_are_left(
    commit: GroupCommit, pool: FakePool, are_left: bool
) -> None:
    if not are_left:
        pool.pool.clear()
    batch = claimed(commit, "red", 0)
    assert not batch.rows
    assert (batch.look_in_seconds is not None) is are_left
    assert len(pool.pool) == 20 * are_left


async def test_starts_are_given_in_turn_and_answered_in_the_order_of_the_requests(
    pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One start is free each time: red has three quarters of them."""
    asked: list[str] = []

    def reserve(_: object, __: object, asks: list[Ask]) -> list[Starts]:
        asked.append(asks[0].holder)
        return [Starts([float(i)] if i == 0 else [], 0.0, None, 0.0) for i in range(len(asks))]

    monkeypatch.setattr("mailsluice.store.usages.Usages.reserve", reserve)
    turns = Turns({"red": 0.75, "green": 0.25})
    commit = GroupCommit(cast("Any", pool), cast("Any", pool), None, None, turns=turns)
    for _ in range(40):
        reservations = [
            StartRequest(Ask(f"journal {name}", {}, 0, [], 1, 0.4), asyncio.Future())
            for name in ("green", "red")
        ]
        requests = Requests(reservations=reservations)
        answers = commit.attempt(requests)
        commit.committed(requests, answers)
        given = [bool(starts.moments) for starts in answers.starts]
        assert given == [name == asked[-1] for name in ("journal green", "journal red")]
    assert asked.count("journal red") == 30
