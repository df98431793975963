"""The tasks that read a mailbox and publish what was in it."""

from __future__ import annotations

import asyncio
from threading import Event

from prefect import task

from mailsluice.bounces.collected import Collected
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.oauth.tokens import TokenSource
from mailsluice.operations.collect_bounces import collect
from mailsluice.store import Database
from tasks.publishing import UNSTORED, publish


@task(name="read-mailbox", **UNSTORED)
async def read_mailbox(
    mailbox: MailboxAccount, database: Database, limit: int, name: str, tokens: TokenSource
) -> Collected:
    """Read up to `limit` messages and record the bounces; `name` is the mailbox block's name."""
    stopped = Event()
    try:
        return await asyncio.to_thread(
            collect,
            mailbox,
            database,
            limit=limit,
            source=f"mailbox {name}",
            goes_on=lambda: not stopped.is_set(),
            tokens=tokens,
        )
    finally:  # a cancelled process waits for its threads
        stopped.set()


@task(name="publish-collected", **UNSTORED)
async def publish_collected(name: str, collected: Collected) -> None:
    """Publish the page of what was collected, under one key for each mailbox."""
    await publish("bounces", name, page=collected.markdown(), summary=collected.summary())
