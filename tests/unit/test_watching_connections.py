"""Changed blocks while a campaign runs, without a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.events import Event

from flows.support import watching_connections
from flows.support.sending import Sending
from flows.support.server_events import ServerEvents
from flows.support.watching_connections import BlockWatcher, watch_connections
from mailsluice.core.errors import CampaignError
from mailsluice.smtp.connection import Connection
from tests.eventually import eventually_async

RED = Connection("red", "smtp.example.com", 587, per_minute=100)
GREEN = Connection("green", "smtp.example.com", 587)


class Blocks:
    """The stored blocks; an exception stands for a block that cannot be read."""

    def __init__(self) -> None:
        self.stored: dict[str, Connection | Exception] = {"red": RED, "green": GREEN}

        self.reads: list[str] = []

    async def load(self, name: str) -> Connection:
        await asyncio.sleep(0)
        self.reads.append(name)
        found = self.stored[name]
        if isinstance(found, Exception):
            raise found
        return found


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
    monkeypatch.setattr(watching_connections, "load_connection", blocks.load)
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
    watcher = BlockWatcher(sending, ServerEvents(), logging.getLogger("run"))
    assert [await watcher.read("red") for _ in range(3)] == [True, False, False]
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
    watcher = BlockWatcher(sending, ServerEvents(), logging.getLogger("run"))
    blocks.stored["red"] = error
    blocks.stored["green"] = replace(GREEN, max_sessions=2)
    for name in 3 * ["red", "green"]:
        await watcher.read(name)
    assert sending.connections == {"red": RED, "green": replace(GREEN, max_sessions=2)}
    (line,) = caplog.messages
    assert reason in line
    assert "secret" not in line
    blocks.stored["red"] = replace(RED, per_minute=50)
    await watcher.read("red")
    assert sending.connections["red"] == replace(RED, per_minute=50)


def saved(name: str) -> Event:
    """The event of a block that is saved."""
    resource = {"prefect.resource.id": f"prefect.block-document.{uuid4()}"}
    resource["prefect.resource.name"] = name
    return Event(event="prefect.block-document.updated", resource=resource)


async def turns(number: int = 50) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.fixture
def events() -> ServerEvents:
    events = ServerEvents()
    events.is_subscribed = True
    return events


@pytest.fixture
async def reads(
    blocks: Blocks, sending: Sending, events: ServerEvents, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[str]]:
    """What a watcher reads after its first look at both blocks."""
    monkeypatch.setattr(watching_connections, "_COMMIT_PAUSES", 5 * (0.0,))
    async with watch_connections(sending, events, logging.getLogger("run")):
        await turns()
        assert blocks.reads == ["red", "green"]
        blocks.reads.clear()
        yield blocks.reads


async def test_a_saved_block_is_read_until_it_has_changed(
    blocks: Blocks, sending: Sending, events: ServerEvents, reads: list[str]
) -> None:
    events.listeners[0](saved("red"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    after = blocks.stored["red"] = replace(RED, per_minute=50)
    await eventually_async(lambda: sending.connections["red"] == after)
    await turns()
    assert {*reads} == {"red"}
    assert len(reads) <= 5


async def test_a_block_that_is_saved_unchanged_is_read_a_few_times(
    events: ServerEvents, reads: list[str]
) -> None:
    events.listeners[0](saved("green"))
    await eventually_async(lambda: len(reads) == 6)
    await turns()
    assert reads == 6 * ["green"]


async def test_other_blocks_are_not_read(events: ServerEvents, reads: list[str]) -> None:
    events.listeners[0](saved("blue"))
    await turns()
    assert reads == []


async def test_all_blocks_are_read_when_events_may_have_been_missed(
    events: ServerEvents, reads: list[str]
) -> None:
    events.listeners[0](None)
    await eventually_async(lambda: len(reads) == 2)
    await turns()
    assert sorted(reads) == ["green", "red"]


async def test_a_block_that_cannot_be_read_is_read_again_without_another_event(
    blocks: Blocks,
    sending: Sending,
    events: ServerEvents,
    reads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream is there again, but the server does not answer yet."""
    monkeypatch.setattr(watching_connections, "_UNSUBSCRIBED_SECONDS", 0.001)
    blocks.stored["red"] = OSError()
    events.listeners[0](None)
    await eventually_async(lambda: reads.count("red") > 2)
    after = blocks.stored["red"] = replace(RED, per_minute=50)
    await eventually_async(lambda: sending.connections["red"] == after)
    assert reads.count("green") == 1


async def test_blocks_are_polled_without_events(
    events: ServerEvents, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_connections, "_UNSUBSCRIBED_SECONDS", 0.001)
    events.is_subscribed = False
    events.listeners[0](None)
    await eventually_async(lambda: len(reads) > 6)
