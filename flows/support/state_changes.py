"""Notice when the state of a flow run may have changed.

Prefect sends an event before it commits the state, so a state that is older than its event is read
again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.events import Event

from flows.support.server_events import RUN_KIND, ServerEvents

_UNSUBSCRIBED_SECONDS = 1.0
_COMMIT_SECONDS, _COMMIT_SHARE = 0.2, 0.25
"""An announced state is read again after so long, and later after this share of the time since."""
_COMMIT_PATIENCE_SECONDS = 600.0
"""A state that cannot be read by then was not committed."""


class StateChanges:
    """Decides when to read the states of some flow runs."""

    def __init__(self, run_ids: Iterable[UUID], events: ServerEvents) -> None:
        self._ids = frozenset(run_ids)
        self._events = events
        self._changed = asyncio.Event()
        self._read: dict[UUID, datetime] = {}
        """By run, the beginning of the state that was read last."""
        self._due: dict[UUID, datetime] = {}
        """By run, the beginning of a state that was announced and is not read yet."""
        self._due_since = 0.0
        self._has_failed = False

    async def next(self) -> None:
        """Wait until the states are to be read; an event ends the wait at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience()):
                await self._changed.wait()
        self._changed.clear()

    def note(self, states: Mapping[UUID, State]) -> None:
        """Note the states that were read."""
        self._has_failed = False
        for run_id, state in states.items():
            self._read[run_id] = state.timestamp
            if run_id in self._due and self._due[run_id] <= state.timestamp:
                del self._due[run_id]

    def failed(self) -> None:
        """Note that the states could not be read."""
        self._has_failed = True

    def hear(self, event: Event | None) -> None:
        """Note an event, unless the state that it announces was read already.

        A new subscription begins with the events of the last minute. Heartbeats announce no state.
        """
        if event is None:
            self._changed.set()
        elif event.resource.get("prefect.state-type"):
            run_id = UUID(event.resource.id.removeprefix(RUN_KIND))
            if run_id not in self._ids or event.occurred <= self._read.get(run_id, _NEVER):
                return
            self._due[run_id] = max(event.occurred, self._due.get(run_id, _NEVER))
            self._due_since = time.monotonic()
            self._changed.set()

    def _patience(self) -> float | None:
        if self._has_failed or not self._events.is_subscribed:
            return _UNSUBSCRIBED_SECONDS
        waited = time.monotonic() - self._due_since
        if self._due and waited < _COMMIT_PATIENCE_SECONDS:
            return max(_COMMIT_SECONDS, _COMMIT_SHARE * waited)
        return None


_NEVER = datetime.min.replace(tzinfo=UTC)


@contextmanager
def state_changes(run_ids: Iterable[UUID], events: ServerEvents) -> Iterator[StateChanges]:
    """Listen to the events of these runs while the `with` block runs."""
    changes = StateChanges(run_ids, events)
    events.listeners.append(changes.hear)
    try:
        yield changes
    finally:
        events.listeners.remove(changes.hear)
