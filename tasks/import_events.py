"""The tasks that import a file of events, and publish what was in it."""

from __future__ import annotations

import asyncio
from threading import Event

from prefect import task

from mailsluice.campaign.identity import Provider
from mailsluice.operations.events.importing import ImportedEvents, import_events
from mailsluice.operations.events.reading import EventFile
from mailsluice.store import Database
from tasks.publishing import UNSTORED, publish


@task(name="record-events", **UNSTORED)
async def record_file(
    database: Database,
    file: EventFile,
    connection: str,
    provider: Provider,
    check: bool,
    bad_rows_file: str,
) -> ImportedEvents:
    """Record the events of a file, or only check it."""
    stopped = Event()
    try:
        return await asyncio.to_thread(
            import_events,
            database,
            file,
            connection=connection,
            provider=provider,
            is_check=check,
            bad_rows_file=bad_rows_file,
            goes_on=lambda: not stopped.is_set(),
        )
    finally:  # a cancelled process waits for its threads
        stopped.set()


@task(name="publish-imported-events", **UNSTORED)
async def publish_imported_events(connection: str, done: ImportedEvents) -> None:
    """Publish the page of an import, under one key for each connection."""
    await publish("imported-events", connection, page=done.page(), summary=done.summary())
