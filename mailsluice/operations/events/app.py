"""The web application that providers push their events to, and readers their wishes.

Each connection has a path for its events; `mailsluice.operations.events.unsubscribe_app` has the
path of unsubscribe links.

A request is answered with 200 only after its events are committed. What is refused is logged with
its connection and the reason, without addresses; a repeated reason is logged now and then.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mailsluice.events.batch import Batch
from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.signatures import ForgedRequestError, Request
from mailsluice.metrics.app import MetricsApp
from mailsluice.metrics.event_meter import EventMeter
from mailsluice.metrics.keeper import TICK_SECONDS
from mailsluice.operations.events.receiving import (
    ProviderUnreachableError,
    Reception,
    largest_request,
)
from mailsluice.operations.events.recording import BusyError, EventRecorder
from mailsluice.operations.events.sources import EventSource
from mailsluice.operations.events.unsubscribe_app import UnsubscribeApp
from mailsluice.store import Database
from mailsluice.store.deliveries import Recorded
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

MOST_HELD = 32 * 1024 * 1024
"""Octets of bodies that are in memory at the same time for one connection. So slow requests hinder
nobody while they are small, and large ones hinder only the connection that they are for."""
SLOWEST_REQUEST_SECONDS = 30.0
"""How long a body may take to arrive."""
LATER_SECONDS = 30
ALERTED_EVERY_SECONDS = 60.0
"""How often the thresholds and reports of campaigns are looked at whose deliveries have changed."""
_PAUSES = 20
"""The length of the pause after that, in the time that it took, if this is longer."""
LOGGED_EVERY_SECONDS = 10.0
"""How often the same refusal is logged."""

Sources = Callable[[], Awaitable[Mapping[str, EventSource]]]
"""Returns the sources by the names of their connections, as they are now."""


Alert = Callable[[Collection[int]], Awaitable[None]]
"""Called now and then with the campaigns whose deliveries have changed."""


class _TooLargeError(Exception):
    pass


class EventsApp:
    """The application's state: what it knows of connections, and what it has done."""

    def __init__(
        self,
        database: Database,
        sources: Sources,
        reception: Reception | None = None,
        alert: Alert | None = None,
        meter: EventMeter | None = None,
        metrics: MetricsApp | None = None,
    ) -> None:
        """`metrics` answers in this application, too, at its path."""
        self._sources = sources
        self._alert = alert
        self._reception = reception or Reception()
        self._held: Counter[str] = Counter()
        """Octets in memory, by connection."""
        self._logged_at: dict[tuple[str, str], float] = {}
        self._meter = meter
        self._metrics = metrics
        self._recorder = EventRecorder(database, meter)
        self._unsubscribing = UnsubscribeApp(database, self._add)
        self.refused: Counter[str] = Counter()
        """Requests that were refused, by reason."""
        self.unused: Counter[str] = Counter()
        """Events that were left out, by reason."""

    def asgi(self) -> Starlette:
        """Return the application."""
        routes = [
            Route("/events/{connection}", self._receive, methods=["POST"]),
            Route("/events/{connection}/", self._receive, methods=["POST"]),
            Route("/health", self._health, methods=["GET"]),
            *self._unsubscribing.routes(),
            *([self._metrics.route()] if self._metrics else []),
        ]
        application = Starlette(routes=routes, lifespan=self._lifespan)
        # A redirection would lead past the proxy: the application knows neither its name nor TLS.
        application.router.redirect_slashes = False
        return application

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(work)
            for work in (self._recorder.run(), self._keep_alerting(), self._keep_metrics())
        ]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._unsubscribing.close()
        if self._meter:
            await asyncio.to_thread(self._meter.end)
        await self._alert_now()

    def _add(self, recorded: Recorded) -> None:
        self._recorder.recorded += recorded

    async def _keep_alerting(self) -> None:
        pause = ALERTED_EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            begun = time.monotonic()
            await self._alert_now()
            # Counting a large campaign takes seconds: leave most of the time to events.
            took = time.monotonic() - begun
            pause = max(ALERTED_EVERY_SECONDS, _PAUSES * took)

    async def _keep_metrics(self) -> None:
        """Write what was counted since the last events that wrote it themselves."""
        while self._meter:
            await asyncio.sleep(TICK_SECONDS)
            await asyncio.to_thread(self._meter.write)

    async def _alert_now(self) -> None:
        """Report the campaigns that have changed since the last time."""
        changed = self._recorder.recorded.campaign_ids
        if self._alert is None or not changed:
            return
        self._recorder.recorded.campaign_ids = set()
        try:
            await self._alert(changed)
        except Exception as error:  # noqa: BLE001 events are taken whatever becomes of alerts
            self._recorder.recorded.campaign_ids |= changed
            logger.warning("thresholds were not checked: %s", type(error).__name__)

    async def _health(self, _: HttpRequest) -> Response:
        done = self._recorder.recorded
        return JSONResponse(
            {
                "recorded": done.states.total(),
                "known before": done.known,
                "settled": done.settled,
                "unmatched": dict(done.unmatched),
                "left out": dict(self.unused),
                "refused": dict(self.refused),
                "unsubscribe links": dict(self._unsubscribing.answers),
            }
        )

    async def _receive(self, request: HttpRequest) -> Response:
        name = request.path_params["connection"]
        source = (await self._sources()).get(name)
        if source is None:
            return self._refuse(404, "an unknown connection", "no such connection takes events")
        try:
            batch = await self._batch(source, request)
            await self._recorder.record(name, batch.events, have_tokens=source.have_tokens)
        except ForgedRequestError as error:
            return self._refuse(401, name, str(error))
        except UnreadableEventError as error:
            return self._refuse(400, name, str(error))
        except _TooLargeError:
            return self._refuse(413, name, "the request is too large")
        except (TimeoutError, ClientDisconnect):
            return self._refuse(408, name, "the request did not arrive in time")
        except BusyError:
            return self._refuse(503, name, "too many events or requests wait")
        except ProviderUnreachableError as error:
            return self._refuse(503, name, f"the certificate cannot be fetched: {error}")
        except DatabaseError as error:
            return self._refuse(503, name, f"the state database failed: {type(error).__name__}")
        self.unused += batch.unused
        return PlainTextResponse("recorded\n")

    async def _batch(self, source: EventSource, request: HttpRequest) -> Batch:
        """Read the request's body, and the events in it. Raises what `_receive` answers."""
        headers = {key.lower(): value for key, value in request.headers.items()}
        self._reception.admit(source, headers)
        body = bytearray()
        try:
            async with asyncio.timeout(SLOWEST_REQUEST_SECONDS):
                await self._read(source, request, body)
            proven = Request(headers, bytes(body))
            return await asyncio.to_thread(self._reception.read, source, proven)
        finally:
            self._held[source.connection] -= len(body)

    async def _read(self, source: EventSource, request: HttpRequest, body: bytearray) -> None:
        """Append the request's body. Raises _TooLargeError as soon as it is too large."""
        largest = largest_request(source.provider)
        announced = request.headers.get("content-length", "0")[:20]
        if not (announced.isascii() and announced.isdigit()) or int(announced) > largest:
            raise _TooLargeError
        async for chunk in request.stream():
            body += chunk
            self._held[source.connection] += len(chunk)
            if len(body) > largest:
                raise _TooLargeError
            if self._held[source.connection] > MOST_HELD:
                raise BusyError

    def _refuse(self, status: int, name: str, reason: str) -> Response:
        self.refused[reason] += 1
        now = time.monotonic()
        if now - self._logged_at.get((name, reason), -math.inf) >= LOGGED_EVERY_SECONDS:
            self._logged_at[name, reason] = now
            logger.warning("events for %s refused (%d): %s", name, status, reason)
        headers = {"Retry-After": str(LATER_SECONDS)} if status == 503 else {}
        if status in (401, 408, 413, 503):
            headers["Connection"] = "close"  # the rest of the body is not read
        return PlainTextResponse(f"{reason}\n", status, headers)
