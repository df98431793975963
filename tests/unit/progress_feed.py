"""A feed of events without a Prefect server, and how a campaign stands."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from flows.support.progress import event_emitter
from mailsluice.reports.progress import Binding, Cause, Progress, Standing, Tally

NOW = datetime.now(UTC)
FREE, DONE = Binding(Cause.FREE), Binding(Cause.DONE)
DOWN = Binding(Cause.QUARANTINED, "login: 535 no")
RESTING = Binding(Cause.RESTING, "connect: refused", NOW + timedelta(seconds=30))
LONG = Binding(Cause.LIMIT, "red per_hour 100", NOW + timedelta(seconds=61))
SHORT = Binding(Cause.LIMIT, "red per_hour 100", NOW + timedelta(seconds=59))


def standing(binding: Binding, sent: int = 0) -> Progress:
    return Progress("spring", (Standing("red", Tally(100, sent), binding),))


class Feed:
    """The event feed: emitted events, and connections that it knows as quarantined."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None, dict[str, Any]]] = []
        self.quarantined: set[str] = set()
        self.is_away = False

    def emit(self, milestone: str, campaign: str, connection: str | None, **more: Any) -> None:
        if self.is_away:
            raise RuntimeError("no events")
        assert campaign == "spring"
        more.pop("threshold")
        self.told.append((milestone, connection, more))

    async def last_words(self, connections: Collection[str]) -> set[str]:
        if self.is_away:
            raise httpx.ConnectError("away")
        return self.quarantined & set(connections)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.told]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    feed = Feed()
    monkeypatch.setattr(event_emitter, "emit", feed.emit)
    monkeypatch.setattr(event_emitter, "_quarantined", feed.last_words)
    return feed
