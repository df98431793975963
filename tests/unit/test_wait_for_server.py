"""A run's end waits for the Prefect API, which it does not ask while events arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flows.support import stopping
from flows.support.server_events import ServerEvents
from flows.support.stopping import wait_for_server


class Api:
    """A Prefect API that is away for some requests."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked = 0

    async def api_healthcheck(self) -> Exception | None:
        self.asked += 1
        return OSError("away") if self.asked <= self.away else None


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api(away=2)

    @asynccontextmanager
    async def client() -> AsyncIterator[Api]:
        yield api

    monkeypatch.setattr(stopping, "get_client", client)
    monkeypatch.setattr(stopping, "_POLL_SECONDS", 0.0)
    return api


@pytest.mark.parametrize(("is_subscribed", "asked"), [(False, 3), (True, 0)])
async def test_the_api_is_asked_until_it_answers_unless_it_delivers_events(
    api: Api, is_subscribed: bool, asked: int
) -> None:
    events = ServerEvents()
    events.is_subscribed = is_subscribed
    await wait_for_server(events)
    assert api.asked == asked
