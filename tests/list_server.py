"""An https server on loopback that hands out lists, and cuts them short or redirects on request."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.http_server import HttpServer


@dataclass
class Answer:
    """An answer of the server at a path."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    """The Content-Length, if not that of the body; -1 for none."""
    is_chunked: bool = False
    ends_well: bool = True
    """Whether the last chunk follows."""
    goes_on: threading.Event | None = None
    """The event that the server waits for after the body."""


class ListServer(HttpServer):
    """Serves `answers`, by path and query, while the `with` block runs; keeps what was `asked`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        """The path and the Authorization of each request."""
        super().__init__(self._handler(), tls)
        self.url = self.address

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        lists = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                lists.asked.append((self.path, self.headers["Authorization"]))
                answer = lists.answers.get(self.path, Answer(status=404))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.is_chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                elif answer.length != -1:
                    length = len(answer.body) if answer.length is None else answer.length
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                if answer.is_chunked:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(answer.body), answer.body))
                    self.wfile.write(b"0\r\n\r\n" if answer.ends_well else b"")
                else:
                    self.wfile.write(answer.body)
                if answer.goes_on:
                    answer.goes_on.wait()
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        return Handler
