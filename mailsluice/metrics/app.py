"""The endpoint that Prometheus asks: one small web application, /metrics."""

from __future__ import annotations

import asyncio
import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailsluice.metrics.exposition import exposed
from mailsluice.metrics.folder import MetricsFolder, metrics_folder
from mailsluice.metrics.numbers import Numbers
from mailsluice.metrics.state import StateMetrics

logger = logging.getLogger(__name__)

PATH = "/metrics"


class MetricsApp:
    """Answers with the sum of this machine's processes, and with the state database's numbers."""

    def __init__(
        self, state: StateMetrics | None = None, folder: MetricsFolder | None = None
    ) -> None:
        """Without `state`, the numbers of the state database are left out."""
        self._state = state
        self._folder = folder or metrics_folder()
        self._reading = asyncio.Lock()

    def route(self) -> Route:
        """The path, for an application that has others."""
        return Route(PATH, self._answer, methods=["GET"])

    def asgi(self) -> Starlette:
        """An application of its own."""
        return Starlette(routes=[self.route()])

    def numbers(self) -> Numbers:
        """The numbers of this moment. Blocking; raises OSError."""
        numbers = self._folder.read()
        if self._state:
            numbers += self._state.read()
        return numbers

    async def _answer(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        try:
            async with self._reading:  # many readers take one thread
                text, content_type = await asyncio.to_thread(
                    lambda: exposed(self.numbers(), accept)
                )
        except OSError as error:
            logger.warning("metrics cannot be read: %s", error)
            return PlainTextResponse("the files with metrics cannot be read\n", 503)
        return Response(text, headers={"Content-Type": content_type})
