"""Refusing requests that a browser sends on behalf of another web site.

A page of any web site can make a visitor's browser send requests to a server on the visitor's
machine. Three headers identify such a request: Origin, Sec-Fetch-Site, and Host when the site's
name was made to point to this machine (DNS rebinding). Programs other than browsers send neither
Origin nor Sec-Fetch-Site.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = {"http": 80, "https": 443}


def known_hosts(host: str) -> frozenset[str]:
    """The names of a server that listens at `host`; on loopback, all loopback names."""
    return LOOPBACK if host in LOOPBACK else frozenset({host.lower()})


def is_foreign(method: str, headers: Headers, hosts: frozenset[str]) -> bool:
    """Whether a browser sends this request on behalf of a page of another site.

    Following a link to a page of the UI is not foreign.
    """
    origins = headers.getlist("origin")
    if origins:
        return not all(_is_own(origin, headers.get("host", ""), hosts) for origin in origins)
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return False
    is_followed_link = (
        method in {"GET", "HEAD"}
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"  # not a frame in another site's page
    )
    return not is_followed_link


def _is_own(origin: str, host: str, hosts: frozenset[str]) -> bool:
    """Whether an Origin is this server: one of its names, with the port of the request."""
    try:
        page = urlsplit(origin)
        asked = urlsplit(f"{page.scheme}://{host}")
        return page.hostname in hosts and _port(page) == _port(asked)
    except ValueError:  # an invalid port or address
        return False


def _port(url: SplitResult) -> int | None:
    return url.port or _PORTS.get(url.scheme)


class SameOrigin:
    """ASGI middleware that answers an unknown Host with 400 and a foreign request with 403."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._hosts = known_hosts(host)
        # IPv6 addresses are in brackets in a Host header.
        allowed = [f"[{name}]" if ":" in name else name for name in self._hosts]
        self._trusted = TrustedHostMiddleware(self._checked, allowed, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on unless it is refused."""
        await self._trusted(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            method = scope.get("method", "GET")
            if is_foreign(method, Headers(scope=scope), self._hosts):
                refusal = JSONResponse({"detail": "Asked by a page of another site."}, 403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
