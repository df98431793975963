"""Senders that share a connection, each with its own engine, journal and links to the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun, RouteResult, SenderRun
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.operations import launch
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.store import (
    Database,
    Ending,
)
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    BREAKER,
    NEVER_SECONDS,
    Sender,
    connection,
)
from tests.smtpd import Settings, SmtpServer

SLOW = Settings(delay_seconds=0.002)
MANY = 1_000
"""More recipients than a sender claims ahead."""


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for the dead, and for what others leave, are frequent."""
    monkeypatch.setattr("mailsluice.delivery.sender_run._RENEW_SECONDS", 0.05)
    monkeypatch.setattr("mailsluice.delivery.group_commit._PEER_SECONDS", 0.02)


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


@asynccontextmanager
async def parent(sender: Sender, document: Campaign) -> AsyncIterator[CampaignRun]:
    """The campaign's own run, which sends nothing itself."""
    run = await asyncio.to_thread(sender.prepare, document)
    try:
        await asyncio.to_thread(run.count)
        yield run
    finally:
        await run.close()


@asynccontextmanager
async def shard(
    sender: Sender, document: Campaign, name: str = "red", home: str = "one"
) -> AsyncIterator[SenderRun]:
    """A sender; `home` is its machine."""
    with Database(sender.database.engine.url.render_as_string(hide_password=False)) as database:
        run = await asyncio.to_thread(
            SenderRun, database, document, name, owner="a run", home=sender.home / home
        )
        try:
            yield run
        finally:
            await run.close()


async def send(run: SenderRun, document: Campaign, target: Connection) -> RouteResult:
    """Until nobody is left, as the flow does it."""
    message = launch.compiled(
        document, await asyncio.to_thread(run.outbox.columns), run.record.return_key
    )
    settings = SenderSettings(document.retry, document.uncertain, BREAKER, NEVER_SECONDS)
    result = await run.send(target, message, settings=settings)
    await run.end(Ending.DOWN if result.down else Ending.DONE)
    return result


async def conclude(run: CampaignRun) -> Report:
    await asyncio.to_thread(run.read_senders)
    report = await asyncio.to_thread(run.report)
    assert run.outbox.counts().is_conserved
    return report


async def shared_by_two(
    sender: Sender, document: Campaign, server: SmtpServer
) -> tuple[list[RouteResult], Report]:
    """Two senders of one connection at once, until nobody is left; how each ended, and all.

    The first message of each session is answered when both senders have one.
    """
    server.hold()
    async with AsyncExitStack() as stack:
        run = await stack.enter_async_context(parent(sender, document))
        both = [await stack.enter_async_context(shard(sender, document)) for _ in range(2)]
        target = connection("red", server, max_sessions=1)
        sending = [asyncio.ensure_future(send(one, document, target)) for one in both]
        await eventually_async(lambda: server.held, lambda held: held == 2)
        server.release()
        results = await asyncio.gather(*sending)
        return results, await conclude(run)
