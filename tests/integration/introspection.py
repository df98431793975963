"""The part of a token server that mail servers ask whether a token is valid (RFC 7662)."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

from tests.http_server import HttpServer


class Introspection(HttpServer):
    """Says while the `with` block runs that the tokens that `holds` accepts are of one user."""

    def __init__(self, username: str) -> None:
        self.username = username
        self.holds: Callable[[str, str], bool] = lambda user, token: False
        super().__init__(_handler(self))

    @property
    def url(self) -> str:
        return f"{self.address}/introspect"


def _handler(introspection: Introspection) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            user = introspection.username
            active = introspection.holds(user, form["token"][0])
            reply = json.dumps(
                {"active": active, "username": user} if active else {"active": False}
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    return Handler
