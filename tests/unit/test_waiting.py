"""A run without work leaves its worker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flows.support import waiting
from flows.support.stopping import StopReason
from flows.support.waiting import left_when_idle


async def test_what_the_connections_wait_for_is_shown_before_the_run_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that is stopped does not know any more what it has waited for."""
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "is_deployed", lambda: True)
    calls: list[str] = []
    stopped = asyncio.Event()

    async def next_in() -> float:
        return 600.0

    async def leaving() -> None:
        calls.append("shown")

    def make(reason: StopReason, state: Any) -> None:
        assert reason is StopReason.WAITING
        seconds = (state.state_details.scheduled_time - datetime.now(UTC)).total_seconds()
        assert 0 < seconds <= 600
        calls.append("stopped")
        stopped.set()

    sending: Any = SimpleNamespace(next_in=next_in, stop_request=SimpleNamespace(make=make))
    async with left_when_idle(sending, 300.0, leaving):
        async with asyncio.timeout(60):
            await stopped.wait()
    assert calls == ["shown", "stopped"]
