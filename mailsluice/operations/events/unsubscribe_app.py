"""The part of the receiver that readers reach: one-click unsubscribing (RFC 8058).

A GET shows a page with a button, and changes nothing, since scanners follow links. A POST with
`List-Unsubscribe=One-Click`, by a mail program or by the button, unsubscribes the recipient whom
the token in the path names, and is answered with 200 after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from email.message import Message
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mailsluice.bounces.matching import SentTo
from mailsluice.message.unsubscribing import ONE_CLICK, PATH
from mailsluice.operations.events import unsubscribe_pages as pages
from mailsluice.operations.unsubscribe import recipient_of, unsubscribe
from mailsluice.store import Database
from mailsluice.store.deliveries import Recorded
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

SOURCE = "one-click"
"""The source of these suppressions."""
LARGEST = 4 * 1024
"""Octets of a body; the body of RFC 8058 has 26, and some hundred as multipart/form-data."""
SLOWEST_SECONDS = 10.0
"""How long a body may take to arrive."""
MOST_WAITING = 200
"""Requests that wait for the database; more are told to come back later."""
_AT_ONCE = 2
"""Requests that use the database at once, so that strangers do not keep events waiting."""
_LATER_SECONDS = 30
_MOST_FIELDS = 10

_Result = TypeVar("_Result")


class _RefusedError(Exception):
    """A request without the words of RFC 8058, or with a body that is too large or too slow."""


class _BusyError(Exception):
    """Too many requests wait."""


class UnsubscribeApp:
    """The routes, and what they have done."""

    def __init__(self, database: Database, recorded: Callable[[Recorded], None]) -> None:
        """`recorded` is called with what each request has changed."""
        self._database = database
        self._recorded = recorded
        self._threads = ThreadPoolExecutor(_AT_ONCE, "unsubscribe")
        self._waiting = 0
        self.answers: Counter[str] = Counter()
        """Requests, by their answer."""

    def routes(self) -> list[Route]:
        """Return the routes of the application."""
        path = f"{PATH}{{token:path}}"
        return [
            Route(path, self._show, methods=["GET"]),
            Route(path, self._unsubscribe, methods=["POST"]),
        ]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def _show(self, request: Request) -> Response:
        try:
            to = await self._in_thread(recipient_of, self._database, _token(request))
        except (_BusyError, DatabaseError) as error:
            return self._later(error)
        if to is None:
            return self._notice(404, "unknown link", pages.UNKNOWN_LINK)
        return self._page(200, "asked", pages.confirmation(to.sender_domain))

    async def _unsubscribe(self, request: Request) -> Response:
        try:
            await _check_words(request)
            to, recorded = await self._in_thread(self._unsubscribed, _token(request))
        except _RefusedError:
            return self._notice(400, "not confirmed", pages.NOT_CONFIRMED)
        except (_BusyError, DatabaseError) as error:
            return self._later(error)
        if to is None:
            return self._notice(404, "unknown link", pages.UNKNOWN_LINK)
        self._recorded(recorded)
        return self._page(200, "unsubscribed", pages.done(to.sender_domain))

    def _unsubscribed(self, token: str) -> tuple[SentTo | None, Recorded]:
        to = recipient_of(self._database, token)
        if to is None:
            return None, Recorded()
        return to, unsubscribe(self._database, [(to, time.time())], SOURCE)

    async def _in_thread(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Use the database. Raises _BusyError if too many requests wait for it."""
        if self._waiting >= MOST_WAITING:
            raise _BusyError
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, *arguments)
        finally:
            self._waiting -= 1

    def _later(self, error: Exception) -> Response:
        logger.warning("unsubscribing has to wait: %s", type(error).__name__)
        return self._notice(503, "later", pages.LATER)

    def _notice(self, status: int, answer: str, words: tuple[str, str]) -> Response:
        return self._page(status, answer, pages.notice(*words))

    def _page(self, status: int, answer: str, content: str) -> Response:
        self.answers[answer] += 1
        headers = dict(pages.HEADERS)
        if status == 503:
            headers["Retry-After"] = str(_LATER_SECONDS)
        if status == 400:
            headers["Connection"] = "close"  # the rest of the body is not read
        return HTMLResponse(content, status, headers)


def _token(request: Request) -> str:
    return str(request.path_params["token"])


async def _check_words(request: Request) -> None:
    """Read the body, and check that it asks for unsubscribing. Raises _RefusedError."""
    try:
        async with asyncio.timeout(SLOWEST_SECONDS):
            body = await _body(request)
    except (TimeoutError, ClientDisconnect):
        raise _RefusedError from None
    if ONE_CLICK not in _pairs(request.headers.get("content-type", ""), body):
        raise _RefusedError


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise _RefusedError
    return body


def _pairs(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form: URL-encoded, or multipart/form-data (RFC 7578)."""
    if not content_type.lower().startswith("multipart/form-data"):
        try:
            return parse_qsl(body.decode("ascii", "replace"), max_num_fields=_MOST_FIELDS)
        except ValueError:
            return []
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii", "replace")
    parts = message_from_bytes(head + body).get_payload()
    if not isinstance(parts, list):
        return []
    return [
        (
            str(part.get_param("name", "", "content-disposition")),
            str(part.get_payload()).strip(),
        )
        for part in parts[:_MOST_FIELDS]
        if isinstance(part, Message)
    ]
