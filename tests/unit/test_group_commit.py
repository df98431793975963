"""What a sender claims, and when it waits for recipients of other senders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from mailsluice.delivery.group_commit import GroupCommit
from mailsluice.delivery.store_requests import ClaimRequest, Requests
from mailsluice.store import Claimed, Settled, Transaction


class FakeStore:
    """A database and an outbox in which no recipient is pending."""

    @contextmanager
    def write(self) -> Iterator[None]:
        yield

    def release(self, transaction: Transaction, ids: list[int]) -> None: ...
    def settle(self, transaction: Transaction, settled: list[Settled]) -> None: ...

    def claim(self, *arguments: object) -> list[Claimed]:
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
