"""The task that shows what was done to the list of suppressions."""

from __future__ import annotations

import asyncio

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE

from mailsluice.operations.suppression.page import Change, page
from mailsluice.store import Database, Suppressions


@task(name="publish-suppressions", cache_policy=NO_CACHE, persist_result=False)
async def publish_suppressions(database: Database, change: Change) -> None:
    """Write it as a markdown artifact; one key, so that its history is the list's."""
    totals = await asyncio.to_thread(Suppressions(database).totals)
    await acreate_markdown_artifact(
        key="suppressions", markdown=page(change, totals), description=change.summary()
    )
