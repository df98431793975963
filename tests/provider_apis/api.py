"""What all simulated APIs share: stored events, a clock, failures on request, an HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from mailsluice.campaign.identity import Provider
from mailsluice.events.pulled.account import EventAccount, EventsApi

KEY = "key-of-the-account"


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes


class Answer(NamedTuple):
    """What the API says."""

    status: int
    value: Any
    headers: Mapping[str, str] = {}

    @property
    def body(self) -> bytes:
        return self.value if isinstance(self.value, bytes) else json.dumps(self.value).encode()


@dataclass(frozen=True)
class Stored:
    """An event of the provider: when it happened, and from when on it is listed."""

    at: float
    listed_at: float
    number: int
    value: Mapping[str, Any]


@dataclass
class ProviderApi:
    """An API with events; subclasses know their provider's format."""

    provider: ClassVar[Provider]
    clock: Callable[[], float]
    url: str = "https://api.example.com"
    stored: list[Stored] = field(default_factory=list)
    failing: list[Answer] = field(default_factory=list)
    """The next answers, in place of those that would be due."""
    asked: list[Asked] = field(default_factory=list)

    def store(self, at: float, value: Mapping[str, Any], *, late: float = 0.0) -> None:
        """An event that happened at a time, and is listed some seconds later."""
        self.stored.append(Stored(at, at + late, len(self.stored), value))

    @property
    def listed(self) -> list[Stored]:
        """What is listed now, the oldest first."""
        now = self.clock()
        return sorted(
            (one for one in self.stored if one.listed_at <= now),
            key=lambda one: (one.at, one.number),
        )

    def answer(self, asked: Asked) -> Answer:
        """What the API says to a request."""
        self.asked.append(asked)
        if self.failing:
            return self.failing.pop(0)
        return self._answer(asked)

    def _answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def api(self, **fields: Any) -> dict[str, Any]:
        """The fields of a block that has access."""
        return {"key": KEY, "url": self.url, **fields}

    def account(self, connection: str = "relay", **fields: Any) -> EventAccount:
        """The account as the engine knows it."""
        return EventAccount(connection, self.provider, EventsApi(**self.api(**fields)))


@contextmanager
def served(api: ProviderApi) -> Iterator[ProviderApi]:
    """Serve an API on loopback, at its `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def _reply(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            params = dict(parse_qsl(url.query, keep_blank_values=True))
            answer = api.answer(Asked(self.command, url.path, params, headers, body))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", f"{len(answer.body)}")
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
