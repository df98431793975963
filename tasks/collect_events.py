"""The tasks that fetch events from providers and publish what was fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Event

from prefect import get_run_logger, task

from mailsluice.events.pulled.account import EventAccount
from mailsluice.operations.events.collected import CollectedEvents
from mailsluice.operations.events.collecting import collect
from mailsluice.store import Database
from tasks.publishing import UNSTORED, publish


@task(name="fetch-events", **UNSTORED)
async def fetch_events(
    accounts: Sequence[EventAccount], database: Database, most_pages: int
) -> CollectedEvents:
    """Fetch and record the events of these connections; see `collect`."""
    stopped = Event()
    try:
        return await asyncio.to_thread(
            collect,
            accounts,
            database,
            most_pages=most_pages,
            pause=lambda seconds: not stopped.wait(seconds),
        )
    finally:  # a cancelled process waits for its threads
        stopped.set()


@task(name="publish-events", **UNSTORED)
async def publish_events(collected: CollectedEvents) -> None:
    """Log what was fetched, and publish its page; all runs have one key."""
    logger = get_run_logger()
    for one in collected.connections:
        logger.info("%s: %s", one.connection, one.counts())
        if one.gap_warning:
            logger.warning("%s", one.gap_warning)
    await publish("events", page=collected.markdown(), summary=collected.summary())
