"""What a sender claims, and when it waits for recipients of other senders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from mailsluice.delivery.group_commit import GroupCommit
from mailsluice.delivery.store_requests import ClaimRequest, Requests
from mailsluice.store import EVERYBODY, Claimed, ClaimScope, Settled, Transaction


class FakeStore:
    """A database and an outbox in which no recipient is pending."""

    is_pooled = False

    @contextmanager
    def write(self) -> Iterator[None]:
        yield

    def release(self, transaction: Transaction, ids: list[int]) -> None: ...
    def settle(self, transaction: Transaction, settled: list[Settled]) -> None: ...

    def claim(self, *arguments: Any, **named: Any) -> list[Claimed]:
        return []

    def next_due_seconds(self, *arguments: object) -> None:
        return None


class FakePeers:
    """Other senders, which may hold recipients. Implements `Peers`."""

    def __init__(self, *, are_busy: bool) -> None:
        self._are_busy = are_busy
        self.has_idled = False

    def may_claim(self, transaction: Transaction) -> bool:
        return True

    def idle(self, transaction: Transaction) -> None:
        self.has_idled = True

    def are_busy(self, transaction: Transaction) -> bool:
        return self._are_busy


@pytest.mark.parametrize(("are_busy", "waits"), [(True, True), (False, False)])
async def test_a_sender_without_recipients_waits_while_others_hold_some(
    are_busy: bool, waits: bool
) -> None:
    store, peers = cast("Any", FakeStore()), FakePeers(are_busy=are_busy)
    commit = GroupCommit(store, store, peers, None)
    requests = Requests(claims=[ClaimRequest("red", 10, asyncio.Future())])
    (batch,) = commit.attempt(requests).batches
    assert not batch.rows
    assert (batch.next_due_seconds is not None) is waits
    assert peers.has_idled


class FakeOutbox(FakeStore):
    """Pending recipients of the providers 1 and 2 in turn, and what was searched for."""

    def __init__(self) -> None:
        self.pending = {number: 1 + number % 2 for number in range(1, 101)}
        self.searches: list[tuple[int, bool]] = []
        """Of each claim: the id after which it searched, and whether only pending recipients."""

    def claim(
        self,
        transaction: Transaction,
        connection: str,
        limit: int,
        after: int = 0,
        scope: ClaimScope = EVERYBODY,
        *,
        only_pending: bool = False,
    ) -> list[Claimed]:
        self.searches.append((after, only_pending))
        numbers = [
            number
            for number, provider in sorted(self.pending.items())
            if number > after and provider not in scope.without and scope.only in (None, provider)
        ][:limit]
        return [Claimed(one, "", "{}", 0, 0.0, self.pending.pop(one)) for one in numbers]

    def release(self, transaction: Transaction, ids: list[int]) -> None:
        self.pending |= {number: 1 + number % 2 for number in ids}


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def commit(outbox: FakeOutbox) -> GroupCommit:
    return GroupCommit(cast("Any", outbox), cast("Any", outbox), None, None)


def claimed(
    commit: GroupCommit, scope: ClaimScope = EVERYBODY, limit: int = 10, **fields: Any
) -> list[int]:
    requests = Requests(claims=[ClaimRequest("red", limit, asyncio.Future(), scope)], **fields)
    answers = commit.attempt(requests)
    commit.committed(requests, answers)
    return [row.id for row in answers.batches[0].rows]


async def test_a_provider_that_is_left_out_is_claimed_from_where_that_began(
    commit: GroupCommit, outbox: FakeOutbox
) -> None:
    assert claimed(commit) == [*range(1, 11)]
    assert claimed(commit, ClaimScope(without=frozenset({1}))) == [*range(11, 31, 2)]
    assert claimed(commit, ClaimScope(without=frozenset({1}))) == [*range(31, 51, 2)]
    assert claimed(commit, ClaimScope(1)) == [*range(12, 32, 2)]
    assert [after for after, _ in outbox.searches] == [0, 10, 29, 10]


async def test_after_a_release_recipients_are_searched_from_the_first_of_them_on(
    commit: GroupCommit, outbox: FakeOutbox
) -> None:
    claimed(commit, limit=40)
    assert claimed(commit, ClaimScope(1), limit=2, released=[30, 33]) == [30, 42]
    assert claimed(commit, limit=2) == [33, 41]
    assert [after for after, _ in outbox.searches] == [0, 29, 29]


async def test_after_a_move_recipients_are_searched_from_the_first_that_came_on(
    commit: GroupCommit, outbox: FakeOutbox
) -> None:
    claimed(commit, limit=40)
    outbox.pending[15] = 2  # from another connection
    assert claimed(commit, limit=2, pending_from=12) == [15, 41]
    assert [after for after, _ in outbox.searches] == [0, 11]


async def test_beside_a_provider_that_is_left_out_due_recipients_are_searched_for_once_a_second(
    commit: GroupCommit, outbox: FakeOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of those that are left out may be due, and would be read each time."""
    now = 1_000.0
    monkeypatch.setattr("mailsluice.delivery.group_commit.steady", lambda: now)
    scope = ClaimScope(without=frozenset({1}))
    for _ in range(3):
        claimed(commit, scope)
    now += 1.0
    claimed(commit, scope)
    assert [only_pending for _, only_pending in outbox.searches] == [False, True, True, False]
    claimed(commit, scope)
    outbox.searches.clear()
    assert claimed(commit, scope) == []  # nobody is pending: others may be due
    assert [only_pending for _, only_pending in outbox.searches][:2] == [True, False]
