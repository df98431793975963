"""The task that gives every recipient its connection, and stores all of them."""

from __future__ import annotations

import asyncio
from datetime import date

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from mailsluice import launch
from mailsluice.audience import Audience
from mailsluice.campaign import Campaign
from mailsluice.sending import CampaignRun


@task(name="assign-connections", cache_policy=NO_CACHE, persist_result=False)
async def assign_connections(
    run: CampaignRun, campaign: Campaign, audience: Audience, day: date
) -> None:
    """Assign and store an audience; see `mailsluice.launch.store_audience`."""
    routes = await asyncio.to_thread(
        launch.store_audience, run.campaigns, run.id, campaign, audience, day
    )
    shares = ", ".join(f"{route.connection} {route.assigned:,}" for route in routes)
    get_run_logger().info("assigned: %s", shares)
