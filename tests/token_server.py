"""A token server on loopback (RFC 6749): checks what it is asked, fails on request."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.http_server import HttpServer

Reply = tuple[int, bytes]


def error(code: str, status: int = 400, description: str = "") -> Reply:
    """A refusal (RFC 6749 section 5.2)."""
    return status, json.dumps({"error": code, "error_description": description}).encode()


class TokenServer(HttpServer):
    """Hands out tokens while the `with` block runs.

    `clock` says when a token has run out; `rotates` makes each refresh token good for one exchange.
    """

    def __init__(
        self,
        *,
        client_id: str = "mailsluice",
        client_secret: str = "s3cret-of-the-client",
        lifetime_seconds: float = 3_600,
        rotates: bool = False,
        clock: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.refresh_token = "refresh-0"
        """The one that it takes."""
        self.lifetime_seconds = lifetime_seconds
        self.rotates = rotates
        self.fails: list[Reply] = []
        """The next replies, instead of those that would be due."""
        self.always: Reply | None = None
        """Every reply from now on."""
        self.may_answer = threading.Event()
        """Cleared, requests wait."""
        self.may_answer.set()
        self.agrees = True
        """What the person says when asked."""
        self.asked: list[dict[str, str]] = []
        """The forms of all requests for tokens."""
        self.most_at_once = 0
        self._clock = clock
        self._ends: dict[str, float] = {}
        self._codes: dict[str, str] = {}
        self._open = 0
        self._lock = threading.Lock()
        super().__init__(_handler(self), tls)

    @property
    def url(self) -> str:
        return f"{self.address}/token"

    def oauth(self, **fields: Any) -> dict[str, Any]:
        """Return the OAuth fields of a block that uses this server."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
            "token_url": self.url,
            **fields,
        }

    def holds(self, user: str, token: str) -> bool:
        """Whether a mail server should accept this token."""
        return self._clock() < self._ends.get(token, float("-inf"))

    def revoke(self) -> None:
        """All access tokens are void."""
        self._ends.clear()

    @property
    def handed_out(self) -> int:
        return len(self.asked)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.may_answer.set()
        super().__exit__(kind, exception, traceback)

    # what the handler's threads call

    def answer(self, form: dict[str, str]) -> Reply:
        with self._lock:
            self.asked.append(form)
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
        self.may_answer.wait(30)
        with self._lock:
            self._open -= 1
            if self.fails:
                return self.fails.pop(0)
            return self.always or self._refusal(form) or self._grant(form)

    def _refusal(self, form: dict[str, str]) -> Reply | None:
        if form.get("client_id") != self.client_id:
            return error("invalid_client", 401)
        if form.get("client_secret", "") != self.client_secret:
            return error("invalid_client", 401, f"wrong secret {form.get('client_secret')}")
        match form.get("grant_type"):
            case "refresh_token":
                good = form.get("refresh_token") == self.refresh_token
            case "authorization_code":
                digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                good = self._codes.pop(form.get("code", ""), None) == challenge
            case _:
                return error("unsupported_grant_type")
        return None if good else error("invalid_grant", description="Token has been revoked.")

    def _grant(self, form: dict[str, str]) -> Reply:
        number = len(self.asked)
        token = f"access-{number}"
        self._ends[token] = self._clock() + self.lifetime_seconds
        reply = {"access_token": token, "token_type": "Bearer"}
        if self.rotates or form["grant_type"] == "authorization_code":
            self.refresh_token = f"refresh-{number}"
            reply["refresh_token"] = self.refresh_token
        return 200, json.dumps({**reply, "expires_in": self.lifetime_seconds}).encode()

    def authorise(self, query: dict[str, str]) -> str:
        """The person said yes: where the browser is sent to, with a code."""
        code = f"code-{len(self._codes)}"
        self._codes[code] = query["code_challenge"]
        answer = {"code": code} if self.agrees else {"error": "access_denied"}
        return f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state']})}"


def _handler(server: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, reply = server.answer(_single(body))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", server.authorise(_single(urlsplit(self.path).query)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    return Handler


def _single(encoded: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(encoded, keep_blank_values=True).items()}
