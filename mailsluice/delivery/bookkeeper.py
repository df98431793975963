"""The one thread that talks to the outbox while a campaign is sent.

Claims and outcomes of all connections share its transactions, a few dozen a second whatever the
speed. While the database is away nothing new is claimed, so nothing unrecorded goes out; what is
settled meanwhile waits here, and in the journal.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from mailsluice.core.errors import OutboxError
from mailsluice.core.masking import masked
from mailsluice.delivery.journal import Journal
from mailsluice.store import (
    Ask,
    Claimed,
    Counts,
    Database,
    Outbox,
    Settled,
    Starts,
    Transaction,
    Usages,
)
from mailsluice.store.trouble import DatabaseError, is_passing

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)

_COMMIT_SECONDS = 0.02
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0)
_HURRIED_RETRIES = 3
_NOBODY_IS_PENDING = 2**62
_PEER_SECONDS = 1.0
"""How long to wait for what others on the connection may leave."""


Claiming = Callable[[Transaction], bool]
"""Whether this process may claim in a transaction: nobody has taken it for dead."""


class Peers(Protocol):
    """Other processes that send over the same connection of the same campaign."""

    def claiming(self, transaction: Transaction) -> bool:
        """Whether this process may claim in this transaction: it was not taken for dead."""

    def idle(self, transaction: Transaction) -> None:
        """It has nothing in hand, and found nothing to claim, now or later."""

    def are_busy(self, transaction: Transaction) -> bool:
        """Whether others may leave something to be sent."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The answer to a claim."""

    rows: Sequence[Claimed]
    next_due_seconds: float | None
    """Where nothing could be claimed: when the next deferred recipient is due; None: never."""


@dataclass(slots=True)
class _Claim:
    connection: str
    limit: int
    answer: asyncio.Future[Batch]


@dataclass(slots=True)
class _Reservation:
    ask: Ask
    answer: asyncio.Future[Starts]


@dataclass(slots=True)
class _Round:
    """What one transaction does."""

    settled: list[Settled] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    claims: list[_Claim] = field(default_factory=list)
    reservations: list[_Reservation] = field(default_factory=list)
    flushed: list[asyncio.Future[None]] = field(default_factory=list)
    is_in_doubt: bool = False
    """Whether it got as far as a commit."""
    claimed: list[int] = field(default_factory=list)
    """What it claimed then."""
    looks_back: bool = False

    def __bool__(self) -> bool:
        work = self.settled or self.released or self.claims or self.reservations
        return bool(work or self.flushed or self.looks_back)


class Bookkeeper:
    """Claims, records and releases recipients of one campaign, reserves starts: in group commits.

    All methods are called on the event loop it was made on, except where said otherwise.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        journal: Journal,
        peers: Peers | None = None,
        claiming: Claiming | None = None,
    ) -> None:
        """With `peers`, nobody is left to send to only when nothing can come back from them.

        `claiming` is asked before each claim; where there are peers, it is theirs.
        """
        self._database = database
        self._outbox = outbox
        self._journal = journal
        self._peers = peers
        self._claiming = claiming or (peers.claiming if peers else None)
        self._in_hand: set[int] = set()
        """Who is claimed here; kept where there are peers."""
        self._usages = Usages(database)
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._next = _Round()
        self._wake = threading.Event()
        self._closing = False
        self.hurried = False
        """Whether to give up soon on a database that is away: the run is to stop."""
        self._cursors: dict[str, int] = {}
        """By connection: up to which id nobody is pending. It saves a look at those who were sent
        to already, hundreds of thousands of them."""
        self.failure: Exception | None = None
        """Why nothing can be recorded any more; claims and flushes raise it."""
        self.away = False
        """Whether the database does not answer at the moment."""
        self._thread = threading.Thread(
            target=self._work, name="mailsluice-bookkeeper", daemon=True
        )
        self._thread.start()

    @property
    def has_peers(self) -> bool:
        """Whether other processes send over the same connection of the campaign."""
        return self._peers is not None

    async def claim(self, connection: str, limit: int) -> Batch:
        """Take up to `limit` recipients of a connection for sending."""
        answer: asyncio.Future[Batch] = self._loop.create_future()
        with self._lock:
            if self.failure:
                raise self.failure
            self._next.claims.append(_Claim(connection, limit, answer))
        self._wake.set()
        return await answer

    async def reserve(self, ask: Ask) -> Starts:
        """Report to the limits' common memory, and get starts."""
        answer: asyncio.Future[Starts] = self._loop.create_future()
        with self._lock:
            if self.failure:
                raise self.failure
            self._next.reservations.append(_Reservation(ask, answer))
        self._wake.set()
        return await answer

    def settle(self, settled: Settled) -> None:
        """Record what became of a recipient, with the next group commit."""
        with self._lock:
            self._next.settled.append(settled)

    def release(self, ids: Iterable[int]) -> None:
        """Put claimed recipients back: their message cannot have reached a server."""
        with self._lock:
            self._next.released.extend(ids)

    def look_back(self) -> None:
        """Recipients with lower ids may be pending again. May be called from any thread."""
        with self._lock:
            self._next.looks_back = True

    async def flush(self) -> None:
        """Wait until everything recorded so far is committed."""
        flushed: asyncio.Future[None] = self._loop.create_future()
        with self._lock:
            if self.failure:
                raise self.failure
            self._next.flushed.append(flushed)
        self._wake.set()
        await flushed

    async def counts(self) -> Counts:
        """How many recipients of the campaign are in which state: a scan of them all."""
        await self.flush()
        return await asyncio.to_thread(self._with_patience, self._outbox.counts)

    async def close(self) -> None:
        """Commit what is left, then end the thread. Gives up on a database that is away."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            self._wake.wait(_COMMIT_SECONDS)
            self._wake.clear()
            with self._lock:
                round_, self._next = self._next, _Round()
            try:
                if round_:
                    self._commit(round_)
            except BaseException as error:  # noqa: BLE001 whatever it is, the connection senders must hear of it
                self._fail(round_, error)
                return
            if self._closing and not round_:
                return

    def _commit(self, round_: _Round) -> None:
        batches, starts = self._with_patience(lambda: self._transact(round_))
        for claim, batch in zip(round_.claims, batches, strict=True):
            new = max((row.id for row in batch.rows if not row.attempts), default=0)
            self._cursors[claim.connection] = max(new, self._cursors.get(claim.connection, 0))
        if self._peers:
            self._in_hand -= _over(round_)
            self._in_hand.update(row.id for batch in batches for row in batch.rows)
        self._loop.call_soon_threadsafe(self._committed, round_, batches, starts)

    def _transact(self, round_: _Round) -> tuple[list[Batch], list[Starts]]:
        """One try. Where an earlier one got as far as its commit, that may have been made although
        it failed: then nothing of it is done twice, and its claims are taken back first.
        """
        settled = round_.settled
        if round_.released or round_.looks_back:
            self._cursors.clear()  # those put back have lower ids
        if round_.is_in_doubt:
            sending = self._outbox.in_doubt()
            settled = [one for one in settled if one.id in sending]
        with self._database.write() as transaction:
            self._outbox.release(transaction, round_.claimed)
            self._outbox.settle(transaction, settled)
            self._outbox.release(transaction, round_.released)
            batches = [self._claim(transaction, one, round_) for one in round_.claims]
            round_.is_in_doubt = True
            round_.claimed += [row.id for batch in batches for row in batch.rows]
            # Last: others may wait for the same limits' rows until the commit.
            starts = self._usages.reserve(transaction, [one.ask for one in round_.reservations])
        return batches, starts

    def _claim(self, transaction: Transaction, claim: _Claim, round_: _Round) -> Batch:
        if claim.answer.cancelled() or (self._claiming and not self._claiming(transaction)):
            return Batch((), None)
        after = self._cursors.get(claim.connection, 0)
        rows = self._outbox.claim(transaction, claim.connection, claim.limit, after)
        due = None if rows else self._outbox.next_due_seconds(transaction, claim.connection)
        if not rows and due is None and self._peers:
            if self._in_hand <= _over(round_):
                self._peers.idle(transaction)
            if self._peers.are_busy(transaction):
                return Batch((), _PEER_SECONDS)
        if not rows and due is None and after:  # before it is over: a look at all of them, once
            rows = self._outbox.claim(transaction, claim.connection, claim.limit)
            if rows and self._peers:
                self._peers.claiming(transaction)
        if not rows:
            self._cursors[claim.connection] = _NOBODY_IS_PENDING
        return Batch(rows, due)

    def _committed(self, round_: _Round, batches: list[Batch], starts: list[Starts]) -> None:
        self._journal.forget(one.id for one in round_.settled)
        for claim, batch in zip(round_.claims, batches, strict=True):
            if claim.answer.cancelled():
                self.release(row.id for row in batch.rows)
            else:
                claim.answer.set_result(batch)
        for reservation, given in zip(round_.reservations, starts, strict=True):
            if not reservation.answer.cancelled():
                reservation.answer.set_result(given)
        for flushed in round_.flushed:
            if not flushed.cancelled():
                flushed.set_result(None)

    def _with_patience(self, action: Callable[[], _Result]) -> _Result:
        """Repeat an action until the database answers; a few times only when hurried."""
        for failed in itertools.count():
            try:
                result = action()
            except DatabaseError as error:
                if not is_passing(error):
                    raise
                if (self.hurried or self._closing) and failed >= _HURRIED_RETRIES:
                    raise OutboxError(
                        "the state database is away; what is in the journal is recorded by the next"
                        f" run on this machine: {masked(str(getattr(error, 'orig', error)))}"
                    ) from error
                if not self.away:
                    reason = masked(str(getattr(error, "orig", error)))
                    logger.warning("the state database is away, sending waits: %s", reason)
                self.away = True
                time.sleep(_RETRY_SECONDS[min(failed, len(_RETRY_SECONDS) - 1)])
            else:
                if self.away:
                    logger.info("the state database is back")
                self.away = False
                return result
        raise AssertionError("unreachable")

    def _fail(self, round_: _Round, reason: BaseException) -> None:
        if isinstance(reason, Exception):
            error = reason
        else:  # raised in a task, it would end the loop silently
            error = OutboxError(f"nothing can be recorded any more: {type(reason).__name__}")
        with self._lock:
            self.failure = error
            later, self._next = self._next, _Round()

        def tell() -> None:
            for one in (round_, later):
                waiting: list[asyncio.Future[Any]] = [claim.answer for claim in one.claims]
                waiting += [reservation.answer for reservation in one.reservations]
                for future in waiting + one.flushed:
                    if not future.done():
                        future.set_exception(error)

        self._loop.call_soon_threadsafe(tell)


def _over(round_: _Round) -> set[int]:
    """Who is not in hand any more after it."""
    return {*(one.id for one in round_.settled), *round_.released}
