"""Serve the metrics of this machine at a port of their own, in this process or beside its work."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from mailsluice.core.errors import MailsluiceError
from mailsluice.metrics.app import PATH, MetricsApp

_STOP_SECONDS = 5.0


class EndpointError(MailsluiceError):
    """The endpoint cannot listen at the address that was given."""


class Endpoint:
    """Listens from its construction on, so that a wrong address is told at once."""

    def __init__(self, app: MetricsApp, host: str, port: int) -> None:
        """Raises EndpointError."""
        self._socket = _listening(host, port)
        place = f"[{host}]" if ":" in host else host
        self.url = f"http://{place}:{self._socket.getsockname()[1]}{PATH}"
        config = uvicorn.Config(
            app.asgi(),
            access_log=False,
            server_header=False,
            limit_concurrency=50,
            lifespan="off",
            log_config=None,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Answer until Ctrl-C, or SIGTERM."""
        with self._socket:
            self._server.run(sockets=[self._socket])

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Answer in a thread while the `with` block runs."""
        thread = threading.Thread(target=self.run, name="metrics endpoint", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.should_exit = True
            thread.join(_STOP_SECONDS)


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise EndpointError(f"{port} is no port for metrics: give one from 1 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        advice = "give an address of this machine, or another port"
        if error.errno == errno.EADDRINUSE:
            advice = "give another port, or end the program that uses this one"
        raise EndpointError(
            f"metrics cannot be served at {host}, port {port}: {reason}: {advice}"
        ) from None
