"""The web application that providers push their events to: one path for each connection.

A request is answered with 200 only after its events are committed. What is refused is logged with
its connection and the reason, without addresses.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.signatures import ForgedRequestError, Request
from mailsluice.operations.events.receiving import ProviderUnreachableError, Reception
from mailsluice.operations.events.recording import BusyError, EventRecorder
from mailsluice.operations.events.sources import EventSource
from mailsluice.store import Database
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

LARGEST_REQUEST = 8 * 1024 * 1024
"""Octets of a request's body."""
MOST_REQUESTS = 64
"""Requests that are read at the same time; their bodies are in memory."""
SLOWEST_REQUEST_SECONDS = 30.0
"""How long a body may take to arrive."""
LATER_SECONDS = 30

Sources = Callable[[], Awaitable[Mapping[str, EventSource]]]
"""Returns the sources by the names of their connections, as they are now."""


class _TooLargeError(Exception):
    pass


class EventsApp:
    """The application's state: what it knows of connections, and what it has done."""

    def __init__(
        self, database: Database, sources: Sources, reception: Reception | None = None
    ) -> None:
        self._sources = sources
        self._reception = reception or Reception()
        self._reading = asyncio.Semaphore(MOST_REQUESTS)
        self._recorder = EventRecorder(database)
        self.refused: Counter[str] = Counter()
        """Requests that were refused, by reason."""
        self.unused: Counter[str] = Counter()
        """Events that were left out, by reason."""

    def asgi(self) -> Starlette:
        """Return the application."""
        routes = [
            Route("/events/{connection}", self._receive, methods=["POST"]),
            Route("/health", self._health, methods=["GET"]),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        recording = asyncio.create_task(self._recorder.run())
        yield
        recording.cancel()
        with suppress(asyncio.CancelledError):
            await recording

    async def _health(self, _: HttpRequest) -> Response:
        done = self._recorder.recorded
        return JSONResponse(
            {
                "recorded": done.states.total(),
                "known before": done.known,
                "unmatched": dict(done.unmatched),
                "left out": dict(self.unused),
                "refused": dict(self.refused),
            }
        )

    async def _receive(self, request: HttpRequest) -> Response:
        name = request.path_params["connection"]
        source = (await self._sources()).get(name)
        if source is None:
            return self._refuse(404, "an unknown connection", "no such connection takes events")
        try:
            async with self._reading:
                body = await asyncio.wait_for(_body(request), SLOWEST_REQUEST_SECONDS)
            proven = Request({key.lower(): value for key, value in request.headers.items()}, body)
            batch = await asyncio.to_thread(self._reception.read, source, proven)
            await self._recorder.record(name, batch.events)
        except ForgedRequestError as error:
            return self._refuse(401, name, str(error))
        except UnreadableEventError as error:
            return self._refuse(400, name, str(error))
        except _TooLargeError:
            return self._refuse(413, name, "the request is too large")
        except (TimeoutError, ClientDisconnect):
            return self._refuse(408, name, "the request did not arrive in time")
        except BusyError:
            return self._refuse(503, name, "too many events wait")
        except ProviderUnreachableError as error:
            return self._refuse(503, name, f"the certificate cannot be fetched: {error}")
        except DatabaseError as error:
            return self._refuse(503, name, f"the state database failed: {type(error).__name__}")
        self.unused += batch.unused
        return PlainTextResponse("recorded\n")

    def _refuse(self, status: int, name: str, reason: str) -> Response:
        self.refused[reason] += 1
        logger.warning("events for %s refused (%d): %s", name, status, reason)
        headers = {"Retry-After": str(LATER_SECONDS)} if status == 503 else {}
        if status in (408, 413):
            headers["Connection"] = "close"  # the rest of the body is not read
        return PlainTextResponse(f"{reason}\n", status, headers)


async def _body(request: HttpRequest) -> bytes:
    """Read the body. Raises _TooLargeError as soon as it is too large."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced[:20]) > LARGEST_REQUEST:
        raise _TooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_REQUEST:
            raise _TooLargeError
    return bytes(body)
