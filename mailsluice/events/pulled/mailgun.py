"""Mailgun's Events API. Pure.

Source: "Events" and "Event polling" in Mailgun's documentation: events come from many hosts, and
pages may still change for half an hour. Each page names the next by a URL; the page after the last
is empty.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, urlsplit

from mailsluice.events.batch import batch_of
from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.providers.mailgun import event_of
from mailsluice.events.pulled.page import (
    ApiRequest,
    Feed,
    Page,
    PageOf,
    answer_of,
    listed,
    token_of,
)
from mailsluice.events.pulled.windows import Reach

_PER_PAGE = 300
_EVENTS = "delivered OR failed OR rejected OR complained OR unsubscribed"


def request(of: PageOf) -> ApiRequest:
    """Ask for a page."""
    login = b64encode(f"api:{of.api.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    if of.page:
        return ApiRequest(f"{_path(of)}/{of.page}", headers=headers)
    params = {
        "begin": f"{of.window.since:.3f}",
        "end": f"{of.window.until:.3f}",
        "ascending": "yes",
        "limit": f"{_PER_PAGE}",
        "event": _EVENTS,
    }
    return ApiRequest(_path(of), params, headers)


def read(body: bytes, of: PageOf) -> Page:
    """Read a page. Raises UnreadableEventError."""
    answer = answer_of(body)
    items = listed(answer, "items", _PER_PAGE)
    if not items:
        return Page(batch_of([], event_of), None)
    following = answer.inner("paging").text("next", limit=8_000)
    return Page(batch_of(items, event_of), _token(following, of) if following else None)


def _path(of: PageOf) -> str:
    return f"/v3/{quote(of.api.domain or '', safe='')}/events"


def _token(following: str, of: PageOf) -> str:
    """Return what distinguishes the next page from others of this domain."""
    try:
        url = urlsplit(following)
    except ValueError:
        raise UnreadableEventError("the answer names no readable next page") from None
    expected = urlsplit(of.url)
    start = f"{_path(of)}/"
    if (url.scheme, url.netloc) != (expected.scheme, expected.netloc):
        raise UnreadableEventError("the answer names a next page on another host")
    token = token_of(url.path.removeprefix(start))
    if not url.path.startswith(start) or not token or "/" in token or ".." in token or url.query:
        raise UnreadableEventError("the answer names no readable next page")
    return token


FEED = Feed(
    "https://api.mailgun.net",
    Reach(overlap_seconds=1_800.0, least_days=1, most_days=30),
    request,
    read,
    {
        401: "correct the API key; for a domain in the EU, the API URL is"
        " https://api.eu.mailgun.net",
        404: "correct the domain; for one in the EU, the API URL is https://api.eu.mailgun.net",
    },
)
