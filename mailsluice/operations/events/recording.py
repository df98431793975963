"""Record events of many requests together: each request is answered after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from mailsluice.events.event import ProviderEvent
from mailsluice.metrics.event_meter import EventMeter
from mailsluice.operations.events.matching import match
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries, Recorded
from mailsluice.store.trouble import DatabaseError, is_passing

MOST_TOGETHER = 1_000
"""Events of one transaction, except that a single request may have more."""
MOST_WAITING = 50_000
"""Events that wait in memory; with more, the provider is told to come back later."""


class BusyError(Exception):
    """Too many events wait."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    connection: str
    events: Sequence[ProviderEvent]
    have_tokens: bool
    done: asyncio.Future[None]

    @property
    def source(self) -> tuple[str, bool]:
        """What events of one transaction have in common."""
        return self.connection, self.have_tokens


def _is_passing(error: Exception) -> bool:
    return isinstance(error, DatabaseError) and is_passing(error)


class EventRecorder:
    """Takes events from an event loop, and records them in a thread."""

    def __init__(self, database: Database, meter: EventMeter | None = None) -> None:
        self._database = database
        self._meter = meter
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._waiting = 0
        self.recorded = Recorded()
        """The sum of all that was recorded."""

    async def record(
        self, connection: str, events: Sequence[ProviderEvent], *, have_tokens: bool = False
    ) -> None:
        """Return once the events are committed; see `match` for `have_tokens`.

        Raises BusyError if too many wait, and what the database raises.
        """
        if not events:
            return
        if self._waiting and self._waiting + len(events) > MOST_WAITING:
            raise BusyError
        done = asyncio.get_running_loop().create_future()
        waiting = _Waiting(connection, events, have_tokens, done)
        self._waiting += len(events)
        self._queue.put_nowait(waiting)
        await waiting.done

    async def run(self) -> None:
        """Record what comes, until cancelled."""
        while True:
            first = await self._queue.get()
            batch, others = self._together(first)
            for other in others:
                self._queue.put_nowait(other)
            await self._commit(batch)
            self._waiting -= sum(len(waiting.events) for waiting in batch)

    def _together(self, first: _Waiting) -> tuple[list[_Waiting], list[_Waiting]]:
        """Take what waits for the same connection out of the queue, up to a limit."""
        batch, others, number = [first], [], len(first.events)
        while not self._queue.empty() and number < MOST_TOGETHER:
            waiting = self._queue.get_nowait()
            if waiting.source == first.source:
                batch.append(waiting)
                number += len(waiting.events)
            else:
                others.append(waiting)
        return batch, others

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        events = [event for waiting in batch for event in waiting.events]
        try:
            recorded = await asyncio.to_thread(self._record, batch[0], events)
        except Exception as error:  # noqa: BLE001 each request gets it
            if len(batch) > 1 and not _is_passing(error):
                for waiting in batch:  # the fault of one request hinders no other
                    await self._commit([waiting])
                return
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
        else:
            self.recorded += recorded
            for waiting in batch:
                with suppress(asyncio.InvalidStateError):  # the request was given up
                    waiting.done.set_result(None)

    def _record(self, first: _Waiting, events: Sequence[ProviderEvent]) -> Recorded:
        received = match(self._database, first.connection, events, have_tokens=first.have_tokens)
        see = self._meter.see if self._meter else None
        return Deliveries(self._database, see).record(first.connection, received)
