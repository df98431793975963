"""When the state of a flow run may have changed: Prefect's event stream tells.

A subscription to the events of the runs costs no request while nothing happens. Prefect sends an
event before it commits the state, so a state that is older than its event is read again. What the
stream does not deliver is found all the same: without a subscription (refused, cut off, no login,
server away) it is time to look every second; with one, every 30 seconds, since servers drop events
for a subscriber that is slow. A lost subscription is made again, after longer and longer pauses.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.events import Event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter

logger = logging.getLogger(__name__)

_UNHEARD_SECONDS = 1.0
_HEARD_SECONDS = 30.0
_COMMIT_SECONDS = 0.2
_COMMIT_PATIENCE_SECONDS = 10.0
"""A state that has not come by then was not committed."""
_CONNECT_SECONDS = 10.0
_MOST_PAUSE_SECONDS = 60.0

_KIND = "prefect.flow-run."
Subscribe = Callable[[EventFilter], AbstractAsyncContextManager[AsyncIterator[Event]]]


class StateChanges:
    """Tells when to look at the states of some flow runs."""

    def __init__(self, run_ids: Iterable[UUID]) -> None:
        self._ids = frozenset(run_ids)
        self._told = asyncio.Event()
        self._is_heard = False
        self._seen: dict[UUID, datetime] = {}
        """By run, when the state that was read last began."""
        self._due: dict[UUID, datetime] = {}
        """By run, when the state that an event told of began."""
        self._due_until = 0.0

    async def next(self) -> None:
        """Wait until it is time to look: at once where an event has told so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience()):
                await self._told.wait()
        self._told.clear()

    def see(self, states: Mapping[UUID, State]) -> None:
        """Take note of what was read."""
        for run_id, state in states.items():
            self._seen[run_id] = state.timestamp
            if run_id in self._due and self._due[run_id] <= state.timestamp:
                del self._due[run_id]

    async def listen(self, subscribe: Subscribe) -> None:
        """Subscribe, again and again; until cancelled."""
        names = EventNameFilter(prefix=[_KIND])
        runs = EventResourceFilter(id=[f"{_KIND}{one}" for one in self._ids])
        failures = 0
        while True:
            began = time.monotonic()
            try:
                async with subscribe(EventFilter(event=names, resource=runs)) as events:
                    self._hear(True)
                    async for event in events:
                        self._take(event)
            except Exception as error:  # noqa: BLE001 whatever it is, looks replace the stream
                logger.debug("no stream of state changes: %s", type(error).__name__)
            finally:
                self._hear(False)
            failures = 0 if time.monotonic() - began > _MOST_PAUSE_SECONDS else failures + 1
            await asyncio.sleep(_pause(failures))

    def _patience(self) -> float:
        if not self._is_heard:
            return _UNHEARD_SECONDS
        if self._due and time.monotonic() < self._due_until:
            return _COMMIT_SECONDS
        return _HEARD_SECONDS

    def _hear(self, is_heard: bool) -> None:
        """The state may have changed while nobody listened."""
        if is_heard or self._is_heard:
            self._told.set()
        self._is_heard = is_heard

    def _take(self, event: Event) -> None:
        """Note what an event tells; those of the last minute are sent first."""
        with suppress(ValueError):
            run_id = UUID(event.resource.id.removeprefix(_KIND))
            if run_id in self._seen and event.occurred <= self._seen[run_id]:
                return
            self._due[run_id] = event.occurred
            self._due_until = time.monotonic() + _COMMIT_PATIENCE_SECONDS
            self._told.set()


def _pause(failures: int) -> float:
    longest = min(_MOST_PAUSE_SECONDS, 2.0**failures)
    return random.uniform(longest / 2, longest)  # noqa: S311 so that not all runs come at once


@asynccontextmanager
async def _subscription(wanted: EventFilter) -> AsyncIterator[AsyncIterator[Event]]:
    subscriber = get_events_subscriber(wanted, reconnection_attempts=0)
    async with asyncio.timeout(_CONNECT_SECONDS):
        await subscriber.__aenter__()
    try:
        yield subscriber
    finally:
        await subscriber.__aexit__(None, None, None)


@asynccontextmanager
async def state_changes(
    run_ids: Iterable[UUID], subscribe: Subscribe = _subscription
) -> AsyncIterator[StateChanges]:
    """Listen while the `with` block runs."""
    changes = StateChanges(run_ids)
    listening = asyncio.ensure_future(changes.listen(subscribe))
    try:
        yield changes
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
