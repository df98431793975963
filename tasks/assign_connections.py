"""The task that assigns a connection to every recipient, and stores the recipients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.operations import launch
from mailsluice.store import Database
from tasks.publishing import UNSTORED

if TYPE_CHECKING:
    from mailsluice.audience.resolved import Audience


@task(name="assign-connections", task_run_name="Assign connections to recipients", **UNSTORED)
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
    logger.info("recipients assigned: %s (digest %s)", counts, digest)
    if affinity := placement.assignment.affinity:
        logger.info("%s", affinity.sentence())
    for warming in placement.warmings:
        for sentence in warming.sentences():
            logger.info("%s", sentence)
