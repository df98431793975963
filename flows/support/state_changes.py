"""Notice when the state of a flow run may have changed, by Prefect's event stream.

A subscription to the events of the runs costs no request while nothing happens. Prefect sends an
event before it commits the state, so a state that is older than its event is read again. A change
that the stream does not deliver is found by polling: every second without a subscription (refused,
cut off, no login, server away), and every 30 seconds with one, since servers drop events for slow
subscribers. A lost subscription is renewed after increasing pauses.
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

_UNSUBSCRIBED_SECONDS = 1.0
_SUBSCRIBED_SECONDS = 30.0
_COMMIT_SECONDS = 0.2
_COMMIT_PATIENCE_SECONDS = 10.0
"""A state that cannot be read by then was not committed."""
_CONNECT_SECONDS = 10.0
_MOST_PAUSE_SECONDS = 60.0

_KIND = "prefect.flow-run."
Subscribe = Callable[[EventFilter], AbstractAsyncContextManager[AsyncIterator[Event]]]


class StateChanges:
    """Decides when to read the states of some flow runs."""

    def __init__(self, run_ids: Iterable[UUID]) -> None:
        self._ids = frozenset(run_ids)
        self._changed = asyncio.Event()
        self._is_subscribed = False
        self._read: dict[UUID, datetime] = {}
        """By run, the beginning of the state that was read last."""
        self._due: dict[UUID, datetime] = {}
        """By run, the beginning of a state that was announced and is not read yet."""
        self._due_until = 0.0

    async def next(self) -> None:
        """Wait until the states are to be read; an event ends the wait at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience()):
                await self._changed.wait()
        self._changed.clear()

    def note(self, states: Mapping[UUID, State]) -> None:
        """Note the states that were read."""
        for run_id, state in states.items():
            self._read[run_id] = state.timestamp
            if run_id in self._due and self._due[run_id] <= state.timestamp:
                del self._due[run_id]

    async def listen(self, subscribe: Subscribe) -> None:
        """Subscribe to the runs' events, again whenever the subscription is lost."""
        names = EventNameFilter(prefix=[_KIND])
        runs = EventResourceFilter(id=[f"{_KIND}{run_id}" for run_id in self._ids])
        failures = 0
        while True:
            began = time.monotonic()
            try:
                async with subscribe(EventFilter(event=names, resource=runs)) as events:
                    self._subscribed(True)
                    async for event in events:
                        self._take(event)
            except Exception as error:  # noqa: BLE001 whatever it is, polling replaces the stream
                logger.debug("no stream of state changes: %s", type(error).__name__)
            finally:
                self._subscribed(False)
            failures = 0 if time.monotonic() - began > _MOST_PAUSE_SECONDS else failures + 1
            await asyncio.sleep(_pause(failures))

    def _patience(self) -> float:
        if not self._is_subscribed:
            return _UNSUBSCRIBED_SECONDS
        if self._due and time.monotonic() < self._due_until:
            return _COMMIT_SECONDS
        return _SUBSCRIBED_SECONDS

    def _subscribed(self, is_subscribed: bool) -> None:
        """Read the states now: they may have changed while there was no subscription."""
        if is_subscribed or self._is_subscribed:
            self._changed.set()
        self._is_subscribed = is_subscribed

    def _take(self, event: Event) -> None:
        """Note an event, unless the state that it announces was read already.

        A new subscription begins with the events of the last minute.
        """
        with suppress(ValueError):
            run_id = UUID(event.resource.id.removeprefix(_KIND))
            if run_id in self._read and event.occurred <= self._read[run_id]:
                return
            self._due[run_id] = event.occurred
            self._due_until = time.monotonic() + _COMMIT_PATIENCE_SECONDS
            self._changed.set()


def _pause(failures: int) -> float:
    longest = min(_MOST_PAUSE_SECONDS, 2.0**failures)
    return random.uniform(longest / 2, longest)  # noqa: S311 so that runs reconnect one by one


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
    """Listen to the events of these runs while the `with` block runs."""
    changes = StateChanges(run_ids)
    listening = asyncio.ensure_future(changes.listen(subscribe))
    try:
        yield changes
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
