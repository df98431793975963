"""Changes on the Prefect server that concern a run: of its state, of limits, and of blocks.

One subscription to Prefect's event stream for each run; it costs no request while nothing happens,
however long the run. A subscription proves that it is alive: where it delivers nothing for minutes,
the run emits an event of its own, and a subscription that does not deliver that event is lost.

Where there is no subscription (refused, cut off, no login, server away), the listeners read what
concerns them every few seconds. They also read it once when a subscription begins or is lost. A
lost one is renewed after increasing pauses.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID, uuid4

from prefect.events import Event, emit_event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import (
    EventAnyResourceFilter,
    EventFilter,
    EventNameFilter,
    EventResourceFilter,
)

from mailsluice.core.beside import beside

logger = logging.getLogger(__name__)

_SILENT_SECONDS = 300.0
"""A stream that has delivered nothing for so long has to prove that it is alive."""
_ECHO_SECONDS = 60.0
"""How long the proof may take."""
_CONNECT_SECONDS = 10.0
_MOST_PAUSE_SECONDS = 60.0

RUN_KIND = "prefect.flow-run."
"""The beginning of the ids of flow runs, and of the events of their states."""
ECHO = "mailsluice.stream.echo"
"""The event by which a stream proves that it is alive."""
_KINDS = [
    "prefect.concurrency-limit.",
    "prefect.block-document.",
    "mailsluice.connection.",
    "mailsluice.host.",
]
_EVENTS = [
    RUN_KIND,
    "prefect.concurrency-limit.",
    "prefect.block-document.",
    "mailsluice.sessions.",
    ECHO,
]
Emit = Callable[[str, dict[str, str]], object]
Subscribe = Callable[[EventFilter], AbstractAsyncContextManager[AsyncIterator[Event]]]
Listener = Callable[[Event | None], None]
"""Is called with each event, and with None where events may have been missed."""


class ServerEvents:
    """Tells its listeners what happens."""

    def __init__(self, emit: Emit = emit_event) -> None:
        self.listeners: list[Listener] = []
        self.is_subscribed = False
        self._emit = emit
        self._stream_id = f"mailsluice.stream.{uuid4()}"

    async def listen(
        self, run_ids: Iterable[UUID], deployment_ids: Collection[UUID], subscribe: Subscribe
    ) -> None:
        """Subscribe, again whenever the subscription is lost."""
        ids = [
            *(f"{RUN_KIND}{run_id}" for run_id in run_ids),
            *(f"prefect.deployment.{deployment_id}" for deployment_id in deployment_ids),
        ]
        id_prefix = [*ids, *_KINDS, self._stream_id]
        wanted = EventFilter(event=EventNameFilter(prefix=_EVENTS))
        if deployment_ids:  # to which the runs of their events are related
            wanted.any_resource = EventAnyResourceFilter(id_prefix=id_prefix)
        else:
            wanted.resource = EventResourceFilter(id_prefix=id_prefix)
        failures = 0
        while True:
            began = time.monotonic()
            try:
                async with subscribe(wanted) as events:
                    self._subscribed(True)
                    await self._follow(events)
            except Exception as error:  # noqa: BLE001 whatever it is, listeners read by themselves
                logger.debug("no stream of events: %s", type(error).__name__)
            finally:
                self._subscribed(False)
            failures = 0 if time.monotonic() - began > _MOST_PAUSE_SECONDS else failures + 1
            await asyncio.sleep(_pause(failures))

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        """Tell what comes. Raises TimeoutError when the stream is silent and does not echo."""
        loop = asyncio.get_running_loop()
        proving = loop.call_later(_SILENT_SECONDS, self._prove)
        try:
            async with asyncio.timeout(_SILENT_SECONDS + _ECHO_SECONDS) as silence:
                async for event in events:
                    silence.reschedule(loop.time() + _SILENT_SECONDS + _ECHO_SECONDS)
                    proving.cancel()
                    proving = loop.call_later(_SILENT_SECONDS, self._prove)
                    if event.event != ECHO:
                        self._tell(event)
        finally:
            proving.cancel()

    def _prove(self) -> None:
        self._emit(ECHO, {"prefect.resource.id": self._stream_id})

    def _subscribed(self, is_subscribed: bool) -> None:
        has_begun_or_ended = is_subscribed or self.is_subscribed
        self.is_subscribed = is_subscribed
        if has_begun_or_ended:
            self._tell(None)

    def _tell(self, event: Event | None) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 anybody may emit events, of any content
                logger.debug("an event is not understood: %s", type(error).__name__)


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
async def server_events(
    *run_ids: UUID,
    deployment_ids: Collection[UUID] = (),
    subscribe: Subscribe = _subscription,
    emit: Emit = emit_event,
) -> AsyncIterator[ServerEvents]:
    """Listen to the events that concern these runs while the `with` block runs.

    With `deployment_ids`, to those of all runs of these deployments as well.
    """
    events = ServerEvents(emit)
    async with beside(events.listen(run_ids, deployment_ids, subscribe)):
        yield events
