"""Changed blocks while a campaign runs, without a server."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest

from flows.support import watching_connections
from flows.support.sending import Sending
from flows.support.watching_connections import BlockWatcher
from mailsluice.core.errors import CampaignError
from mailsluice.smtp.connection import Connection

RED = Connection("red", "smtp.example.com", 587, per_minute=100)
GREEN = Connection("green", "smtp.example.com", 587)


class Blocks:
    """The stored blocks; an exception stands for a block that cannot be read."""

    def __init__(self) -> None:
        self.stored: dict[str, Connection | Exception] = {"red": RED, "green": GREEN}

    async def load(self, names: Iterable[str]) -> dict[str, Connection]:
        (name,) = names
        found = self.stored[name]
        if isinstance(found, Exception):
            raise found
        return {name: found}


class Run:
    """A campaign run that records calls."""

    def __init__(self) -> None:
        self.sends = {"red": RED, "green": GREEN}

    async def update(self, connection: Connection) -> list[str]:
        before, self.sends[connection.name] = self.sends[connection.name], connection
        return [] if before == connection else ["per_minute 100 -> 50"]


class Slots:
    """Slots that only take note."""

    def __init__(self) -> None:
        self.connection: Connection | None = None

    def update(self, connection: Connection) -> None:
        self.connection = connection


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Blocks:
    blocks = Blocks()
    monkeypatch.setattr(watching_connections, "load_connections", blocks.load)
    return blocks


@pytest.fixture
def sending() -> Sending:
    fields: Any = {"run": Run(), "slots": {"red": Slots(), "green": Slots()}}
    stop_request = cast("Any", None)
    connections = {"red": RED, "green": GREEN}
    return Sending(messages={}, stop_request=stop_request, connections=connections, **fields)


async def test_a_changed_block_reaches_the_sender_the_slots_and_later_subflows(
    blocks: Blocks, sending: Sending, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    after = blocks.stored["red"] = replace(RED, per_minute=50)
    watcher = BlockWatcher(sending, logging.getLogger("run"))
    for _ in range(3):
        await watcher.read()
    slots = cast("Slots", sending.slots["red"])
    run = cast("Run", sending.run)
    assert sending.connections["red"] == run.sends["red"] == slots.connection == after
    assert caplog.messages == ["connection red: per_minute 100 -> 50"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CampaignError("there is no SMTP Connection block 'red'"), "there is no SMTP Connection"),
        (OSError("password=secret"), "do not change: OSError"),  # the text may contain a secret
    ],
)
async def test_a_block_that_cannot_be_read_changes_nothing_and_is_logged_once(
    blocks: Blocks,
    sending: Sending,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    reason: str,
) -> None:
    watcher = BlockWatcher(sending, logging.getLogger("run"))
    blocks.stored["red"] = error
    blocks.stored["green"] = replace(GREEN, max_sessions=2)
    for _ in range(3):
        await watcher.read()
    assert sending.connections == {"red": RED, "green": replace(GREEN, max_sessions=2)}
    (line,) = caplog.messages
    assert reason in line
    assert "secret" not in line
    blocks.stored["red"] = replace(RED, per_minute=50)
    await watcher.read()
    assert sending.connections["red"] == replace(RED, per_minute=50)
