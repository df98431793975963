"""The page of all campaigns."""

from __future__ import annotations

import asyncio
import logging

from mailsluice.reports.overview import Overview
from mailsluice.reports.overview.queries import overview
from mailsluice.store import Database
from tasks.publishing import key_of, replace

logger = logging.getLogger(__name__)

PAGE = "campaigns"
"""The key of the page's artifact."""
_MOST_TIMES = 5


async def refresh_campaigns(database: Database) -> None:
    """Publish the page of all campaigns at the end of other work, which it never fails.

    A page that cannot be made or published is left as it is, with a warning: the next run makes it.
    """
    try:
        await publish_campaigns(database)
    except Exception as error:  # noqa: BLE001 the page hinders no run
        logger.warning("the page of campaigns was not published: %s", type(error).__name__)


async def publish_campaigns(database: Database) -> Overview:
    """Publish the page of all campaigns in place of the one before.

    Of two runs that end together, one may read first and write last. So the list is read again
    after it was published, until it is as published.
    """
    listed = await asyncio.to_thread(overview, database)
    for _ in range(_MOST_TIMES):
        await _publish(listed)
        before, listed = listed, await asyncio.to_thread(overview, database)
        if listed.settled == before.settled:
            break
    return listed


async def _publish(listed: Overview) -> None:
    keys = [key_of("campaign", row.name) for row in listed.rows]
    await replace(PAGE, page=listed.markdown(keys), summary=listed.summary())
