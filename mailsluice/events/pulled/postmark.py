"""Postmark's Bounce API: bounces, complaints and unsubscribes; deliveries are only pushed. Pure.

Source: "Bounce API" and "Messages API" in Postmark's documentation. Its lists of messages do not
say whether and when a message was delivered; that takes a request for each message. Its list of
bounces leaves out the metadata of the message, which takes a request for each bounce. The newest
bounces come first, times are in Eastern Time, and count and offset together are at most 10,000:
pages after that are asked for as those before the time of the last bounce.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import ceil
from urllib.parse import quote
from zoneinfo import ZoneInfo

from mailsluice.events.batch import batch_of
from mailsluice.events.event import ProviderEvent
from mailsluice.events.fields import Fields, moment
from mailsluice.events.providers.postmark import event_of
from mailsluice.events.pulled.page import (
    ApiRequest,
    Details,
    Feed,
    Page,
    PageOf,
    answer_of,
    listed,
)
from mailsluice.events.pulled.windows import Reach
from mailsluice.message.provider_fields import NAME

_PER_PAGE = 500
_MOST_OFFSET = 10_000 - _PER_PAGE
_ZONE = ZoneInfo("America/New_York")
_HOUR = 3_600.0


def request(of: PageOf) -> ApiRequest:
    """Ask for a page."""
    until, offset = _position(of)
    params = {
        "count": f"{_PER_PAGE}",
        "offset": f"{offset}",
        "fromdate": _time(of.window.since, -_HOUR),
        "todate": _time(until, _HOUR),
    }
    return ApiRequest("/bounces", params, _headers(of))


def read(body: bytes, of: PageOf) -> Page:
    """Read a page. Raises UnreadableEventError."""
    bounces = listed(answer_of(body), "Bounces", _PER_PAGE)
    batch = batch_of(bounces, _event_of)
    if len(bounces) < _PER_PAGE:
        return Page(batch, None)
    until, offset = _position(of)
    if offset < _MOST_OFFSET:
        return Page(batch, f"{until}:{offset + _PER_PAGE}")
    return Page(batch, _before(bounces[-1], until))


def details_request(of: PageOf, event: ProviderEvent) -> ApiRequest:
    """Ask for the message that bounced."""
    path = f"/messages/outbound/{quote(event.provider_id, safe='')}/details"
    return ApiRequest(path, headers=_headers(of))


def read_details(body: bytes, event: ProviderEvent) -> ProviderEvent:
    """Read the token in the message's metadata. Raises UnreadableEventError."""
    return replace(event, token=answer_of(body).inner("Metadata").text(NAME))


def _headers(of: PageOf) -> dict[str, str]:
    return {"Accept": "application/json", "X-Postmark-Server-Token": of.api.secret}


def _event_of(fields: Fields) -> ProviderEvent | None:
    return event_of(Fields({"RecordType": "Bounce", **fields}))


def _before(last: object, until: int) -> str:
    """Return the first page of what is as old as the last bounce, or older."""
    at = moment(Fields(last).get("BouncedAt"), "BouncedAt")
    return f"{min(ceil(at), until - 1)}:0"


def _position(of: PageOf) -> tuple[int, int]:
    until, _, offset = (of.page or f"{ceil(of.window.until)}:0").partition(":")
    return int(until), int(offset)


def _time(at: float, widen: float) -> str:
    """Write a time; one in the hour that a day in autumn has twice is moved by an hour."""
    local = datetime.fromtimestamp(int(at), _ZONE)
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        local = datetime.fromtimestamp(int(at + widen), _ZONE)
    return local.strftime("%Y-%m-%dT%H:%M:%S")


FEED = Feed(
    "https://api.postmarkapp.com",
    Reach(overlap_seconds=_HOUR, least_days=45, most_days=45),
    request,
    read,
    {401: "correct the server API token", 422: "correct the server API token"},
    Details(details_request, read_details),
)
