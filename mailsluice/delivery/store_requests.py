"""Requests of the engine's thread to the store, collected for the next group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mailsluice.store import EVERYBODY, Ask, Claimed, ClaimScope, Settled, Starts


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """The answer to a claim."""

    rows: Sequence[Claimed]
    next_due_seconds: float | None
    """Where nothing could be claimed: when the next deferred recipient is due; None: never."""
    is_canary: bool = False
    """Whether the recipients beyond a canary wait for the decision about it."""
    look_in_seconds: float | None = None
    """When to look whether they may be claimed, where nothing could be."""
    zone: str = ""
    """The time zone whose sending window opens next, with its recipients, where they wait for it.
    """


@dataclass(slots=True)
class ClaimRequest:
    """Recipients wanted for one connection.

    With a pool, the limit 0 asks whether any are left: `look_in_seconds` is None where none is.
    """

    connection: str
    limit: int
    answer: asyncio.Future[ClaimedBatch]
    scope: ClaimScope = EVERYBODY


@dataclass(slots=True)
class StartRequest:
    """Starts wanted under the limits of one connection."""

    ask: Ask
    answer: asyncio.Future[Starts]


class Answers(NamedTuple):
    """The results of one transaction, in the order of the requests."""

    batches: list[ClaimedBatch]
    starts: list[Starts]


@dataclass(slots=True)
class Requests:
    """The requests of one transaction, and how far its tries got."""

    settled: list[Settled] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    claims: list[ClaimRequest] = field(default_factory=list)
    reservations: list[StartRequest] = field(default_factory=list)
    flushed: list[asyncio.Future[None]] = field(default_factory=list)
    pending_from: int | None = None
    """From which id on recipients below the cursors may be pending again; None: nowhere."""
    may_be_committed: bool = False
    """Whether a try reached its commit, which may have taken effect although it raised."""
    claimed: list[int] = field(default_factory=list)
    """Recipients that the tries so far claimed."""

    def __bool__(self) -> bool:
        work = self.settled or self.released or self.claims or self.reservations
        return bool(work or self.flushed or self.pending_from is not None)

    def finished(self) -> set[int]:
        """Recipients that this process no longer holds after the commit."""
        return {*(settled.id for settled in self.settled), *self.released}

    def answer(self, answers: Answers) -> list[int]:
        """Wake the waiting callers; returns claimed recipients whose caller has gone."""
        unwanted: list[int] = []
        for claim, batch in zip(self.claims, answers.batches, strict=True):
            if claim.answer.cancelled():
                unwanted.extend(row.id for row in batch.rows)
            else:
                claim.answer.set_result(batch)
        for reservation, starts in zip(self.reservations, answers.starts, strict=True):
            if not reservation.answer.cancelled():
                reservation.answer.set_result(starts)
        for flushed in self.flushed:
            if not flushed.cancelled():
                flushed.set_result(None)
        return unwanted

    def fail(self, error: Exception) -> None:
        """Raise this error in the waiting callers."""
        waiting: list[asyncio.Future[Any]] = [claim.answer for claim in self.claims]
        waiting += [reservation.answer for reservation in self.reservations]
        for future in waiting + self.flushed:
            if not future.done():
                future.set_exception(error)
