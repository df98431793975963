"""The task that gives every recipient its connection, and stores all of them."""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from mailsluice.audience import Audience
from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.operations import launch
from mailsluice.store import Database


@task(
    name="assign-connections",
    task_run_name="Give every recipient its connection",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def assign_connections(
    database: Database,
    run: CampaignRun,
    campaign: Campaign,
    audience: Audience,
    occasion: launch.Occasion,
) -> None:
    """Assign and store an audience; see `mailsluice.operations.launch.store_audience`."""
    placement = await asyncio.to_thread(
        launch.store_audience, database, run.id, campaign, audience, occasion
    )
    counts = ", ".join(f"{name} {number:,}" for name, number in placement.counts.items())
    digest = placement.digest(audience.address_keys)
    logger = get_run_logger()
    logger.info("assigned: %s (digest %s)", counts, digest)
    for warming in placement.warmings:
        for sentence in warming.sentences():
            logger.info("%s", sentence)
