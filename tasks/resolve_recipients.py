"""The task that reads and checks the recipients."""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from mailsluice.audience import Audience
from mailsluice.audience.engines import Connect
from mailsluice.campaign import Campaign
from mailsluice.core.suppression import held_back
from mailsluice.operations import launch
from mailsluice.store import Database


@task(
    name="resolve-recipients",
    task_run_name="Read recipients",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def resolve_recipients(campaign: Campaign, database: Database, connect: Connect) -> Audience:
    """Read the audience of a campaign; see `mailsluice.operations.launch.resolve_audience`."""
    audience = await asyncio.to_thread(launch.resolve_audience, campaign, database, connect)
    rejected = ", ".join(f"{number:,} {why}" for why, number in audience.counts().items())
    get_run_logger().info(
        "%s rows read: %s accepted, %s", f"{audience.read:,}", f"{len(audience):,}", rejected
    )
    if held := held_back(audience.held_back()):
        get_run_logger().info("suppressed %s", held)
    for note in audience.notes():
        get_run_logger().warning(note)
    return audience
