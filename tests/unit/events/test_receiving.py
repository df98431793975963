"""What the receiver of events remembers of requests is bounded."""

from __future__ import annotations

import pytest

from mailsluice.campaign.identity import Provider
from mailsluice.events.signatures import MAILGUN_WINDOW_SECONDS, ForgedRequestError, Request
from mailsluice.operations.events import receiving
from mailsluice.operations.events.receiving import Reception
from mailsluice.operations.events.sources import EventSource
from tests.unit.events.test_signatures import NOW, SIGNING_KEY, mailgun

SOURCE = EventSource("mailgun", Provider.MAILGUN, SIGNING_KEY)


def another(request: Request) -> Request:
    """A request with the same signature and another body."""
    return Request({}, request.body + b" ")


def test_the_oldest_tokens_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "_MAX_REMEMBERED", 10)
    reception = Reception(clock=lambda: NOW)
    requests = [mailgun(f"{number:050}") for number in range(100)]
    for request in requests:
        reception.read(SOURCE, request)
        assert len(reception._tokens) <= 10
    with pytest.raises(ForgedRequestError, match="another request"):
        reception.read(SOURCE, another(requests[-1]))
    reception.read(SOURCE, another(requests[0]))


def test_tokens_that_are_too_old_to_be_accepted_are_forgotten() -> None:
    now = NOW
    reception = Reception(clock=lambda: now)
    for number in range(10):
        reception.read(SOURCE, mailgun(f"{number:050}"))
    now += 2 * MAILGUN_WINDOW_SECONDS
    for number in range(100, 120):
        reception.read(SOURCE, mailgun(f"{number:050}", at=now))
    assert len(reception._tokens) < 20 + 10
    with pytest.raises(ForgedRequestError, match="too old"):
        reception.read(SOURCE, mailgun(f"{0:050}"))
