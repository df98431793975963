"""A process of a run: how it carries out orders, without the run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from mailsluice.core.errors import OutboxError
from mailsluice.operations.processes import child as module
from mailsluice.operations.processes.child import Child, Part
from mailsluice.operations.processes.frames import Update, order_frame
from mailsluice.smtp.connection import Connection
from tests.eventually import eventually_async

RED = Connection("red", "smtp.example.com", 587)
SLOWER = replace(RED, per_minute=50)


class Run:
    """A sender's run that begins late, and whose database is away at first."""

    def __init__(self) -> None:
        self.begun = False
        self.is_away = True
        self.asked = 0
        self.updates: list[Connection] = []
        self.on_hold = False
        self.is_stopping = False

    def sends_over(self, name: str) -> bool:
        self.asked += 1
        return self.begun

    async def update(self, connection: Connection) -> list[str]:
        if not self.begun:
            return []
        self.asked += 1
        if self.is_away:
            raise OutboxError("the state database does not answer")
        self.updates.append(connection)
        return ["per_minute none -> 50"]

    def stop(self) -> None:
        self.is_stopping = True


async def test_a_changed_limit_is_not_lost_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It arrives before the part sends, and the database is away then."""
    monkeypatch.setattr(module, "_UPDATE_SECONDS", 0.001)
    reader, run = asyncio.StreamReader(), Run()
    child = Child(reader, cast("Any", None))
    part = cast("Part", type("Sending", (), {"run": run})())
    child._parts["red"] = part
    tasks = [asyncio.ensure_future(child._listen()), asyncio.ensure_future(child._update_parts())]
    try:
        reader.feed_data(order_frame(Update(SLOWER)))
        await eventually_async(lambda: run.asked > 2)
        run.begun, run.asked = True, 0
        await eventually_async(lambda: run.asked > 4)
        assert not run.is_stopping
        run.is_away = False
        await eventually_async(lambda: run.updates == [SLOWER])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        child._engine.close()
