"""The tasks that read a mailbox and show what was in it."""

from __future__ import annotations

import asyncio
from threading import Event

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.bounces.collected import Collected
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.operations.collect_bounces import collect
from mailsluice.store import Database


@task(name="read-mailbox", cache_policy=NO_CACHE, persist_result=False)
async def read_mailbox(
    mailbox: MailboxAccount, database: Database, limit: int, name: str
) -> Collected:
    """Read up to so many mails, and record what they say; `name` is the mailbox block's."""
    stopped = Event()
    try:
        return await asyncio.to_thread(
            collect,
            mailbox,
            database,
            limit=limit,
            source=f"mailbox {name}",
            goes_on=lambda: not stopped.is_set(),
        )
    finally:  # where the run is cancelled the process waits for its threads
        stopped.set()


@task(name="publish-collected", cache_policy=NO_CACHE, persist_result=False)
async def publish_collected(name: str, found: Collected) -> None:
    """Write it as a markdown artifact, one key a mailbox."""
    await acreate_markdown_artifact(
        key=f"bounces-{slugify(name) or 'mailbox'}",
        markdown=found.markdown(),
        description=found.summary(),
    )
