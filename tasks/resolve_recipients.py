"""The task that reads and checks the recipients of a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from mailsluice.audience.engines import SourceAccess
from mailsluice.campaign import Campaign, SenderIdentity
from mailsluice.core.suppression import held_back
from mailsluice.operations import launch
from mailsluice.store import Database
from tasks.publishing import UNSTORED

if TYPE_CHECKING:
    from mailsluice.audience.resolved import Audience


@task(name="resolve-recipients", task_run_name="Read recipients", **UNSTORED)
async def resolve_recipients(
    campaign: Campaign,
    database: Database,
    access: SourceAccess,
    identities: Mapping[str, SenderIdentity],
) -> Audience:
    """Read the audience of a campaign; see `mailsluice.operations.launch.resolve_audience`."""
    audience = await asyncio.to_thread(
        launch.resolve_audience, campaign, database, access.connect, identities, access.storages
    )
    rejected = ", ".join(f"{number:,} {reason}" for reason, number in audience.counts().items())
    logger = get_run_logger()
    logger.info(
        "%s rows read: %s accepted, %s", f"{audience.read:,}", f"{len(audience):,}", rejected
    )
    if audience.look_ups:
        logger.info("%s", audience.look_ups)
    if held := held_back(audience.held_back()):
        logger.info("suppressed %s", held)
    for note in audience.notes():
        logger.warning(note)
    return audience
