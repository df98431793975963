"""The page that shows the preview of a message, beside Prefect's UI.

`<UI>/mailsluice-preview/<artifact>` answers with the preview that plan-campaign or send-test has
stored. A browser asks for the login of Prefect's API there, if the API has one: the UI keeps that
login for its own requests. The page may do nothing but show itself, whatever the message contains:
see `mailsluice.operations.preview.page`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
from typing import Any
from uuid import UUID

from prefect.server import models
from prefect.server.database import provide_database_interface
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mailsluice.operations.preview.messages import MessagePreview
from mailsluice.operations.preview.page import page, policy
from mailsluice.operations.preview.stored import KIND, ROUTE, from_data

_PAGE = re.compile(rf"(?:/[\w-]{{1,50}}){{0,3}}/{ROUTE}/([0-9a-f-]{{36}})/?")
_TELLING = re.compile(rf"(?:/[\w-]{{1,50}}){{0,3}}/api/{ROUTE}")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Previews:
    """ASGI middleware that answers for previews, and passes all other requests on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        is_read = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
        if is_read and _TELLING.fullmatch(scope["path"]):
            await Response(status_code=204)(scope, receive, send)
        elif is_read and (match := _PAGE.fullmatch(scope["path"])):
            answer = await _answer(Request(scope), match[1])
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _answer(request: Request, artifact_id: str) -> Response:
    if not _is_allowed(request):
        refusal = {"WWW-Authenticate": 'Basic realm="Prefect API", charset="UTF-8"'}
        return PlainTextResponse("Log in as for the Prefect API.", 401, {**_HEADERS, **refusal})
    preview = await _stored(artifact_id)
    if preview is None:
        words = "There is no such preview: it was deleted, or the link is cut off. Plan again."
        return PlainTextResponse(words, 404, _HEADERS)
    images = request.query_params.get("images") == "yes"
    rules = f"sandbox; frame-ancestors 'none'; {policy(images=images)}"
    html = await asyncio.to_thread(page, preview, images=images, is_served=True)
    return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": rules})


def _is_allowed(request: Request) -> bool:
    """Whether the request has the login of the API, if the API has one (RFC 7617)."""
    login: str | None = PREFECT_SERVER_API_AUTH_STRING.value()
    if login is None:
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(decoded, login.encode())


async def _stored(artifact_id: str) -> MessagePreview | None:
    """The stored preview; None where there is none."""
    try:
        artifact = await read_artifact(UUID(artifact_id))
        if artifact is None or artifact.type != KIND:
            return None
        return from_data(artifact.data)
    except ValueError:  # no id, or data of another program
        return None


async def read_artifact(artifact_id: UUID) -> Any:
    """The artifact in Prefect's database, or None."""
    read: Any = models.artifacts.read_artifact  # its decorator hides its types
    async with provide_database_interface().session_context() as session:
        return await read(session=session, artifact_id=artifact_id)
