"""The task that publishes a change of the suppression list."""

from __future__ import annotations

import asyncio

from prefect import task

from mailsluice.operations.suppression.page import Change, page
from mailsluice.store import Database, Suppressions
from tasks.publishing import UNSTORED, publish


@task(name="publish-suppressions", task_run_name="Publish the change", **UNSTORED)
async def publish_suppressions(database: Database, change: Change) -> None:
    """Publish the page of a change; all changes have one key, whose versions are the history."""
    totals = await asyncio.to_thread(Suppressions(database).totals)
    await publish("suppressions", page=page(change, totals), summary=change.summary())
