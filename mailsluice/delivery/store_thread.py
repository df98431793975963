"""The one thread that talks to the store while a campaign is sent.

The claims and outcomes of all connections share its transactions, a few dozen a second at any
speed. While the database does not answer, nothing new is claimed, so no message goes out
unrecorded; outcomes wait here, and in the journal.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mailsluice.core.errors import OutboxError
from mailsluice.delivery.group_commit import GroupCommit, MayClaim, Peers
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.pool import Turns
from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.delivery.store_requests import (
    Answers,
    ClaimedBatch,
    ClaimRequest,
    Requests,
    StartRequest,
)
from mailsluice.delivery.store_retry import StoreRetry
from mailsluice.store import (
    EVERYBODY,
    Ask,
    Canaries,
    ClaimScope,
    Counts,
    Database,
    Outbox,
    Settled,
    Starts,
)

_COMMIT_SECONDS = 0.02


class StoreThread:
    """Claims, settles and releases recipients of a campaign, and reserves starts, in group commits.

    Call the methods on the event loop that made it, unless they say otherwise.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        journal: Journal,
        peers: Peers | None = None,
        may_claim: MayClaim | None = None,
        canaries: Canaries | None = None,
        hours: RecipientHours | None = None,
        turns: Turns | None = None,
    ) -> None:
        """With `peers`, a connection is done only when no peer can release a recipient.

        `may_claim` is asked before each claim; where there are peers, `peers.may_claim` is. With
        `canaries`, recipients beyond a connection's canary wait for its decision. With `hours`,
        recipients wait until the window is open in their time zones. With `turns`, starts are given
        to connections in their turn.
        """
        self._outbox = outbox
        self._journal = journal
        self.has_peers = peers is not None
        """Whether other processes send over the same connection of the campaign."""
        self._commit = GroupCommit(database, outbox, peers, may_claim, canaries, hours, turns)
        self._retry = StoreRetry()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._next = Requests()
        self._wake = threading.Event()
        self._closing = False
        self.failure: Exception | None = None
        """Why nothing can be recorded any more; claims and flushes raise it."""
        self._thread = threading.Thread(target=self._work, name="mailsluice-store", daemon=True)
        self._thread.start()

    @property
    def is_away(self) -> bool:
        """Whether the database does not answer at the moment."""
        return self._retry.is_away

    async def claim(
        self, connection: str, limit: int, scope: ClaimScope = EVERYBODY
    ) -> ClaimedBatch:
        """Claim up to `limit` recipients of a connection in a scope for sending."""
        answer: asyncio.Future[ClaimedBatch] = self._loop.create_future()
        with self._accepting() as requests:
            requests.claims.append(ClaimRequest(connection, limit, answer, scope))
        self._wake.set()
        return await answer

    async def reserve(self, ask: Ask) -> Starts:
        """Report open starts and replies to the limits' shared usage, and get new starts."""
        answer: asyncio.Future[Starts] = self._loop.create_future()
        with self._accepting() as requests:
            requests.reservations.append(StartRequest(ask, answer))
        self._wake.set()
        return await answer

    def settle(self, settled: Settled) -> None:
        """Record a recipient's outcome with the next group commit."""
        with self._lock:
            self._next.settled.append(settled)

    def release(self, ids: Iterable[int]) -> None:
        """Make claimed recipients pending again: their message cannot have reached a server."""
        with self._lock:
            self._next.released.extend(ids)

    def rescan(self, from_id: int = 0) -> None:
        """Search recipients from this id on at the next claim: they may be pending. Thread-safe."""
        with self._lock:
            known = self._next.pending_from
            self._next.pending_from = from_id if known is None else min(known, from_id)

    async def flush(self) -> None:
        """Wait until everything recorded so far is committed."""
        flushed: asyncio.Future[None] = self._loop.create_future()
        with self._accepting() as requests:
            requests.flushed.append(flushed)
        self._wake.set()
        await flushed

    async def counts(self) -> Counts:
        """Count the campaign's recipients in each state, in a scan of all of them."""
        await self.flush()
        return await asyncio.to_thread(self._retry.call, self._outbox.counts)

    def hurry(self) -> None:
        """Give up soon on a database that is away, since the run is to stop. Thread-safe."""
        self._retry.hurried = True

    async def close(self) -> None:
        """Commit what is left, then end the thread. Gives up on a database that does not answer."""
        self._closing = True
        self.hurry()
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    @contextmanager
    def _accepting(self) -> Iterator[Requests]:
        """The requests of the next transaction, locked. Raises `failure`."""
        with self._lock:
            if self.failure:
                raise self.failure
            yield self._next

    def _work(self) -> None:
        while True:
            self._wake.wait(_COMMIT_SECONDS)
            self._wake.clear()
            with self._lock:
                requests, self._next = self._next, Requests()
            try:
                if requests:
                    self._carry_out(requests)
            except BaseException as error:  # noqa: BLE001 the connection senders raise it, whatever it is
                self._fail(requests, error)
                return
            if self._closing and not requests:
                return

    def _carry_out(self, requests: Requests) -> None:
        answers = self._retry.call(lambda: self._commit.attempt(requests))
        self._commit.committed(requests, answers)
        self._loop.call_soon_threadsafe(self._committed, requests, answers)

    def _committed(self, requests: Requests, answers: Answers) -> None:
        self._journal.forget(settled.id for settled in requests.settled)
        self.release(requests.answer(answers))

    def _fail(self, requests: Requests, reason: BaseException) -> None:
        if isinstance(reason, Exception):
            error = reason
        else:  # raised in a task, it would end the loop silently
            error = OutboxError(f"nothing can be recorded any more: {type(reason).__name__}")
        with self._lock:
            self.failure = error
            later, self._next = self._next, Requests()
        for failed in (requests, later):
            self._loop.call_soon_threadsafe(failed.fail, error)
