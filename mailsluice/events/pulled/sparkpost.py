"""SparkPost's Events API. Pure.

Source: "Events" in SparkPost's documentation: events are kept for ten days, and found about a
minute after they happened. Pages follow each other by a cursor.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from mailsluice.events.batch import batch_of
from mailsluice.events.fields import Fields, UnreadableEventError
from mailsluice.events.providers.sparkpost import event_of
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

_PER_PAGE = 1_000
_EVENTS = (
    "delivery", "delay", "bounce", "out_of_band", "policy_rejection", "generation_failure",
    "generation_rejection", "spam_complaint", "list_unsubscribe", "link_unsubscribe",
)  # fmt: skip


def request(of: PageOf) -> ApiRequest:
    """Ask for a page; times are in whole seconds."""
    params = {
        "from": _time(of.window.since),
        "to": _time(of.window.until + 1),
        "events": ",".join(_EVENTS),
        "per_page": f"{_PER_PAGE}",
        "cursor": of.page or "initial",
    }
    return ApiRequest("/api/v1/events/message", params, {"Authorization": of.api.secret})


def read(body: bytes, _: PageOf) -> Page:
    """Read a page. Raises UnreadableEventError."""
    answer = answer_of(body)
    results = listed(answer, "results", _PER_PAGE)
    return Page(batch_of(results, event_of), _next(answer) if results else None)


def _next(answer: Fields) -> str | None:
    following = answer.inner("links").text("next", limit=8_000)
    if not following:
        return None
    try:
        cursors = parse_qs(urlsplit(following).query).get("cursor", [])
    except ValueError:
        cursors = []
    if not cursors:
        raise UnreadableEventError("the answer names no readable next page")
    return token_of(cursors[0])


def _time(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FEED = Feed(
    "https://api.sparkpost.com",
    Reach(overlap_seconds=1_800.0, least_days=10, most_days=10),
    request,
    read,
    {
        401: "correct the API key; for an account in the EU, the API URL is"
        " https://api.eu.sparkpost.com",
        403: "give the API key the permission Events Search: Read-only",
    },
)
