"""Telling of campaigns of which too much came back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from flows.support.events import Milestone, tell
from mailsluice.store import Database
from mailsluice.store.alerts import Alerts


async def tell_bounce_shares(
    database: Database,
    campaign_ids: Collection[int],
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> None:
    """Emit an event for each of the campaigns whose bounces or complaints have passed a threshold.

    Once a campaign and threshold, however often it is called; see `bounces.shares.exceeded`.
    """
    for campaign_id in sorted(campaign_ids):
        campaign, passed = await asyncio.to_thread(Alerts(database).due, campaign_id)
        for one in passed:
            logger.warning("%s: %s", campaign, one)
            milestone = Milestone.COMPLAINTS_HIGH if one.complaints else Milestone.BOUNCES_HIGH
            tell(
                milestone,
                campaign,
                threshold=one.threshold,
                share=one.percent,
                sent=one.total,
                complained=one.number if one.complaints else None,
                bounced=None if one.complaints else one.number,
            )
