"""A request to a provider's API, and the page of events that it answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailsluice.events.batch import Batch
from mailsluice.events.event import ProviderEvent
from mailsluice.events.fields import Fields, UnreadableEventError, json_of
from mailsluice.events.pulled.account import EventsApi
from mailsluice.events.pulled.windows import Reach, Window

MOST_TOKEN = 4_000
"""Characters of the provider's name for a page."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request over HTTP."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    """The body of a POST; None for a GET."""


@dataclass(frozen=True, slots=True)
class PageOf:
    """The page that is asked for."""

    api: EventsApi
    window: Window
    page: str
    """The name of this page, as given by the page before; empty for the first."""
    url: str
    """The address of the API, without a path."""
    now: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events of a page, and what the provider calls the next; None after the last."""

    batch: Batch
    next: str | None


@dataclass(frozen=True, slots=True)
class Details:
    """How to ask for what a page leaves out of an event: whom it is about."""

    request: Callable[[PageOf, ProviderEvent], ApiRequest]
    read: Callable[[bytes, ProviderEvent], ProviderEvent]
    """Completes the event by the answer. Raises UnreadableEventError."""


@dataclass(frozen=True, slots=True)
class Feed:
    """How one provider is asked for its events."""

    url: str
    """The address of its API, without a path."""
    reach: Reach
    request: Callable[[PageOf], ApiRequest]
    read: Callable[[bytes, PageOf], Page]
    """Reads the answer. Raises UnreadableEventError."""
    advice: Mapping[int, str]
    """Advice for the operator about refusals, by HTTP status."""
    details: Details | None = None
    """For a provider whose pages are not whole: one more request for each new event."""


def answer_of(body: bytes) -> Fields:
    """Read the object that an API answers. Raises UnreadableEventError."""
    return Fields(json_of(body), "the answer")


def listed(answer: Fields, name: str, most: int) -> list[Any]:
    """Return a list of the answer. Raises UnreadableEventError if it is missing or too long."""
    found = answer.get(name)
    if not isinstance(found, list):
        raise UnreadableEventError(f"the answer has no list {name!r}")
    if len(found) > most:
        raise UnreadableEventError(f"the answer has more than {most:,} events")
    return found


def token_of(text: str) -> str:
    """Return what a provider calls a page. Raises UnreadableEventError if it cannot be a name."""
    if len(text) > MOST_TOKEN or not (text.isascii() and text.isprintable()):
        raise UnreadableEventError("the answer names no readable next page")
    return text
