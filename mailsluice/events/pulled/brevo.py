"""Brevo's transactional events. Pure.

Source: "Get all your transactional email activity" in Brevo's documentation. One can ask for whole
days only, of a time zone that is not named, so `days` counts from now. The newest events come
first: pages end with the first whose events are all before the window. The names of events are
other ones than those of the webhooks, and times are cut to seconds, as there: an event that is
pushed as well has the same key.
"""

from __future__ import annotations

from math import ceil, floor

from mailsluice.events.batch import batch_of
from mailsluice.events.event import ProviderEvent
from mailsluice.events.fields import Fields
from mailsluice.events.providers import brevo
from mailsluice.events.pulled.page import ApiRequest, Feed, Page, PageOf, answer_of, listed
from mailsluice.events.pulled.windows import DAY_SECONDS, Reach

_PER_PAGE = 2_500
_MOST_DAYS = 90
_NAMES = {
    "hardBounces": "hard_bounce",
    "softBounces": "soft_bounce",
    "invalid": "invalid_email",
}
"""Events that webhooks call otherwise."""


def request(of: PageOf) -> ApiRequest:
    """Ask for a page."""
    days = ceil((of.now - of.window.since) / DAY_SECONDS) + 1  # today counts, and has begun
    params = {
        "days": f"{min(days, _MOST_DAYS)}",
        "limit": f"{_PER_PAGE}",
        "offset": of.page or "0",
        "sort": "desc",
    }
    headers = {"accept": "application/json", "api-key": of.api.secret}
    return ApiRequest("/v3/smtp/statistics/events", params, headers)


def read(body: bytes, of: PageOf) -> Page:
    """Read a page; one without events has no list. Raises UnreadableEventError."""
    answer = answer_of(body)
    events = listed(answer, "events", _PER_PAGE) if "events" in answer else []
    batch = batch_of(events, _event_of)
    # A single old event says nothing: it may have been recorded late, before others of the window.
    latest = max((event.at for event in batch.events), default=of.window.until)
    is_last = len(events) < _PER_PAGE or latest < floor(of.window.since)
    return Page(batch, None if is_last else f"{int(of.page or 0) + len(events)}")


def _event_of(fields: Fields) -> ProviderEvent | None:
    name = fields.text("event")
    at = floor(fields.moment("date"))
    known = {"message-id": fields.get("messageId"), "ts_event": at}
    return brevo.event_of(Fields({**fields, **known, "event": _NAMES.get(name, name)}))


FEED = Feed(
    "https://api.brevo.com",
    Reach(overlap_seconds=3_600.0, least_days=30, most_days=_MOST_DAYS),
    request,
    read,
    {
        401: "correct the API key, which is another one than the SMTP key; if Brevo blocks"
        " unknown IP addresses, allow this machine's"
    },
)
