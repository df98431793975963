"""Commit the outcomes, releases, claims and starts of all connections in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mailsluice.core.status import UNCLAIMED
from mailsluice.core.steady import steady
from mailsluice.delivery.journal import connection_of
from mailsluice.delivery.pool import Turns
from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.delivery.store_requests import Answers, ClaimedBatch, ClaimRequest, Requests
from mailsluice.delivery.zone_claims import ZoneClaims
from mailsluice.store import (
    Ask,
    Bound,
    Canaries,
    Claimed,
    Database,
    Outbox,
    Starts,
    Transaction,
    Usages,
)

_ALL_CLAIMED = 2**62
_PEER_SECONDS = 1.0
"""How long to wait for recipients that other senders of the connection may release."""

_DUE_SEARCH_SECONDS = 1.0

_CursorKey = tuple[str, int | None]
"""A connection, and the provider whose recipients are claimed apart; None: all the others. The pool
has cursors as well, which all connections share."""

MayClaim = Callable[[Transaction], bool]
"""Whether this process may claim in a transaction: no other process has taken it for dead."""


class Peers(Protocol):
    """Other processes that send over the same connection of the same campaign."""

    def may_claim(self, transaction: Transaction) -> bool:
        """Whether this process may claim in this transaction: it was not taken for dead."""

    def idle(self, transaction: Transaction) -> None:
        """Note that this process holds no recipient and found none to claim."""

    def are_busy(self, transaction: Transaction) -> bool:
        """Whether other processes may leave recipients to be sent."""


class GroupCommit:
    """Carries out requests in one transaction. Used by the store's thread only.

    For each connection a cursor says up to which id no recipient is pending, so that a claim does
    not search the hundreds of thousands that were sent before. A mailbox provider that its claims
    leave out has a cursor of its own, which begins where the connection's cursor is by then.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        peers: Peers | None,
        may_claim: MayClaim | None,
        canaries: Canaries | None = None,
        hours: RecipientHours | None = None,
        turns: Turns | None = None,
    ) -> None:
        """With `canaries`, nothing beyond a connection's canary is claimed until it is decided.

        With `hours`, only recipients whose sending window is open are claimed. With `turns`, starts
        are given to connections in their turn.
        """
        self._database = database
        self._outbox = outbox
        self._peers = peers
        self._may_claim = may_claim or (peers.may_claim if peers else None)
        self._canaries = canaries
        self._turns = turns
        self._unbound: set[str] = set()
        """Connections without a canary, or whose canary is decided."""
        self._usages = Usages(database)
        self._held: set[int] = set()
        """Recipients claimed by this process; kept where there are peers."""
        self._cursors: dict[_CursorKey, int] = {}
        self._zones = ZoneClaims(outbox, hours, has_peers=peers is not None) if hours else None
        self._due_search_at: dict[str, float] = {}
        """By connection: when to search for due recipients beside providers that are left out."""

    def attempt(self, requests: Requests) -> Answers:
        """Try the transaction once.

        An earlier try that reached its commit may have taken effect although it raised. Then only
        recipients that are still `sending` are settled, and what that try claimed is released.
        """
        settled = requests.settled
        again = requests.released
        if requests.pending_from is not None:
            again = [*again, max(1, requests.pending_from)]
        if again:
            lowest = min(again) - 1
            self._cursors = {key: min(after, lowest) for key, after in self._cursors.items()}
        if self._zones:
            self._zones.begin(requests)
        if requests.may_be_committed:
            sending = self._outbox.in_doubt()
            settled = [outcome for outcome in settled if outcome.id in sending]
        with self._database.write() as transaction:
            self._outbox.release(transaction, requests.claimed)
            self._outbox.settle(transaction, settled)
            self._outbox.release(transaction, requests.released)
            batches = [self._claim(transaction, claim, requests) for claim in requests.claims]
            requests.may_be_committed = True
            requests.claimed += [row.id for batch in batches for row in batch.rows]
            # Last: other processes may wait for the rows of the same limits until the commit.
            starts = self._reserve(transaction, [one.ask for one in requests.reservations])
        return Answers(batches, starts)

    def _reserve(self, transaction: Transaction, asks: Sequence[Ask]) -> list[Starts]:
        """Grant starts: to one connection after the other, whoever's turn it is first."""
        if self._turns is None or len(asks) < 2:
            return self._usages.reserve(transaction, asks)
        order = self._turns.order([connection_of(ask.holder) for ask in asks])
        granted = self._usages.reserve(transaction, [asks[i] for i in order])
        return [starts for _, starts in sorted(zip(order, granted, strict=True), key=_first)]

    def committed(self, requests: Requests, answers: Answers) -> None:
        """Note what the transaction claimed, once its commit is certain."""
        if self._zones:
            self._zones.committed()
        for claim, batch in zip(requests.claims, answers.batches, strict=True):
            newest = max((row.id for row in batch.rows if not row.attempts), default=0)
            if self._outbox.is_pooled:
                self._cursors[UNCLAIMED, claim.scope.only] = max(newest, self._pool_cursor(claim))
            else:
                self._cursors[_key(claim)] = max(newest, self._cursor(claim))
        if self._turns:
            for reservation, starts in zip(requests.reservations, answers.starts, strict=True):
                self._turns.given(connection_of(reservation.ask.holder), len(starts.moments))
        if self._peers:
            self._held -= requests.finished()
            self._held.update(row.id for batch in answers.batches for row in batch.rows)

    def _claim(
        self, transaction: Transaction, claim: ClaimRequest, requests: Requests
    ) -> ClaimedBatch:
        if claim.answer.cancelled() or (self._may_claim and not self._may_claim(transaction)):
            return ClaimedBatch((), None)
        if self._zones:
            return self._claim_in_zones(self._zones, transaction, claim, requests)
        return self._claim_anywhere(transaction, claim, requests)

    def _claim_anywhere(
        self, transaction: Transaction, claim: ClaimRequest, requests: Requests
    ) -> ClaimedBatch:
        connection, scope, after = claim.connection, claim.scope, self._cursor(claim)
        pool_after = self._pool_cursor(claim)
        for provider in scope.without:
            self._cursors.setdefault((connection, provider), after)
            self._cursors.setdefault((UNCLAIMED, provider), pool_after)
        if bound := self._bound(transaction, connection):
            return self._claim_of_canary(transaction, claim, after, bound)
        rows = self._next_rows(transaction, claim, after, pool_after)
        if rows:
            return ClaimedBatch(rows, None)
        return self._nothing_found(transaction, claim, requests)

    def _nothing_found(
        self, transaction: Transaction, claim: ClaimRequest, requests: Requests
    ) -> ClaimedBatch:
        """Find out whether recipients may come, or whether this was all."""
        after, pool_after, rows = self._cursor(claim), self._pool_cursor(claim), list[Claimed]()
        due = self._outbox.next_due_seconds(transaction, claim.connection, claim.scope)
        if not claim.limit and self._are_left(transaction, claim, after, pool_after):
            return ClaimedBatch((), due, look_in_seconds=_PEER_SECONDS)
        if due is None or self._outbox.is_pooled:
            if self._peers and self._peers_are_busy(self._peers, transaction, requests):
                if self._outbox.is_pooled:  # peers return recipients without telling
                    self._cursors[UNCLAIMED, claim.scope.only] = 0
                return ClaimedBatch((), due or _PEER_SECONDS, look_in_seconds=_PEER_SECONDS)
            if after or pool_after:  # before the connection is done, search from the first on
                if not claim.limit and self._are_left(transaction, claim, 0, 0):
                    return ClaimedBatch((), due, look_in_seconds=_PEER_SECONDS)
                rows = self._search(transaction, claim, 0, 0)
                if rows and self._peers:
                    self._peers.may_claim(transaction)
        if not rows:
            self._cursors[_key(claim)] = _ALL_CLAIMED
        return ClaimedBatch(rows, due)

    def _claim_in_zones(
        self, zones: ZoneClaims, transaction: Transaction, claim: ClaimRequest, requests: Requests
    ) -> ClaimedBatch:
        for is_from_the_first_on in (False, True):
            if rows := self._next_rows(transaction, claim, 0, 0):
                if self._peers:
                    self._peers.may_claim(transaction)
                return ClaimedBatch(rows, None)
            due = self._outbox.next_due_seconds(transaction, claim.connection, claim.scope)
            wait = zones.wait(transaction, claim)
            if wait and (due is None or wait.seconds <= due):
                return ClaimedBatch((), wait.seconds, zone=str(wait))
            if due is not None:
                return ClaimedBatch((), due)
            if self._peers and self._peers_are_busy(self._peers, transaction, requests):
                zones.look_again(claim)
                return ClaimedBatch((), _PEER_SECONDS)
            if is_from_the_first_on or not zones.restart(claim):
                break
        return ClaimedBatch((), None)

    def _next_rows(
        self, transaction: Transaction, claim: ClaimRequest, after: int, pool_after: int
    ) -> list[Claimed]:
        """Claim deferred recipients that are due, and pending ones.

        Any number of deferred recipients of providers that are left out may be due, and a search
        for others reads all of them. So then the search is made once a second, while recipients are
        pending.
        """
        connection = claim.connection
        if claim.scope.without and steady() < self._due_search_at.get(connection, 0.0):
            rows = self._search(transaction, claim, after, pool_after, only_pending=True)
            if rows:
                return rows
        self._due_search_at[connection] = steady() + _DUE_SEARCH_SECONDS
        return self._search(transaction, claim, after, pool_after)

    def _search(
        self,
        transaction: Transaction,
        claim: ClaimRequest,
        after: int,
        pool_after: int,
        *,
        only_pending: bool = False,
    ) -> list[Claimed]:
        """Claim the connection's own recipients, and then those of the pool if there is one."""
        if self._zones:
            return self._zones.claim(transaction, claim, only_pending=only_pending)
        connection, limit, scope = claim.connection, claim.limit, claim.scope
        rows = self._outbox.claim(
            transaction, connection, limit, after, scope, only_pending=only_pending
        )
        if self._outbox.is_pooled and len(rows) < limit:
            self._cursors[_key(claim)] = _ALL_CLAIMED  # own ones are pending after a release only
            rows += self._outbox.claim_from_pool(
                transaction, connection, limit - len(rows), pool_after, scope
            )
        return rows

    def _are_left(
        self, transaction: Transaction, claim: ClaimRequest, after: int, pool_after: int
    ) -> bool:
        """Whether recipients wait that a connection could claim: its own, or those of the pool."""
        places = ((claim.connection, after), (UNCLAIMED, pool_after))
        return any(
            self._outbox.first_pending(transaction, place, first, claim.scope)
            for place, first in places
        )

    def _pool_cursor(self, claim: ClaimRequest) -> int:
        """Up to which id the pool has no recipient in the claim's scope, as far as is known."""
        of_all = self._cursors.get((UNCLAIMED, None), 0)
        return self._cursors.get((UNCLAIMED, claim.scope.only), of_all)

    def _cursor(self, claim: ClaimRequest) -> int:
        """Up to which id no recipient in the claim's scope is pending, as far as is known."""
        of_all = self._cursors.get((claim.connection, None), 0)
        return self._cursors.get(_key(claim), of_all)

    def _bound(self, transaction: Transaction, connection: str) -> Bound | None:
        if self._canaries is None or connection in self._unbound:
            return None
        bound = self._canaries.bound(transaction, connection)
        if bound is None:
            self._unbound.add(connection)
        return bound

    def _claim_of_canary(
        self, transaction: Transaction, claim: ClaimRequest, after: int, bound: Bound
    ) -> ClaimedBatch:
        """Claim recipients of the canary; where none is left, look again at its decision."""
        scope = claim.scope._replace(last_id=bound.last_id)
        rows = self._outbox.claim(transaction, claim.connection, claim.limit, after, scope)
        if rows:
            return ClaimedBatch(rows, None)
        due = self._outbox.next_due_seconds(transaction, claim.connection, scope)
        return ClaimedBatch((), due, is_canary=True, look_in_seconds=bound.look_in_seconds)

    def _peers_are_busy(self, peers: Peers, transaction: Transaction, requests: Requests) -> bool:
        """Whether other processes may still release recipients of the connection."""
        if self._held <= requests.finished():
            peers.idle(transaction)
        return peers.are_busy(transaction)


def _first(pair: tuple[int, Starts]) -> int:
    return pair[0]


def _key(claim: ClaimRequest) -> _CursorKey:
    return claim.connection, claim.scope.only
