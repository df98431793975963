"""The task that writes the message log."""

from __future__ import annotations

import asyncio
from threading import Event

from prefect import task

from mailsluice.operations.message_log.addresses import AddressForm
from mailsluice.operations.message_log.follower import Looked
from mailsluice.operations.message_log.lines import Output
from mailsluice.operations.message_log.writing import catch_up, open_log
from mailsluice.store import Database
from tasks.publishing import UNSTORED


@task(name="write-message-log", **UNSTORED)
async def write_lines(
    database: Database, output: Output, name: str, addresses: AddressForm
) -> Looked:
    """Write what is new since the last run; see `catch_up`."""
    stopped = Event()

    def write() -> Looked:
        log = open_log(database, output, name=name, addresses=addresses)
        return catch_up(log, lambda seconds: not stopped.wait(seconds))

    try:
        return await asyncio.to_thread(write)
    finally:  # a cancelled process waits for its threads
        stopped.set()
