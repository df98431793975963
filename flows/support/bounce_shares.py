"""Alerts about campaigns with too many bounces or complaints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from flows.support.events import Milestone, emit
from mailsluice.store import Database
from mailsluice.store.alerts import Alerts


async def emit_bounce_alerts(
    database: Database,
    campaign_ids: Collection[int],
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> None:
    """Emit an event for each campaign whose bounces or complaints exceed a threshold.

    Each threshold of a campaign is reported once, however often this is called; see
    `bounces.shares.exceeded`.
    """
    for campaign_id in sorted(campaign_ids):
        campaign, alerts = await asyncio.to_thread(Alerts(database).due, campaign_id)
        for alert in alerts:
            logger.warning("%s: %s", campaign, alert)
            milestone = Milestone.COMPLAINTS_HIGH if alert.complaints else Milestone.BOUNCES_HIGH
            emit(
                milestone,
                campaign,
                threshold=alert.threshold,
                share=alert.percent,
                sent=alert.total,
                complained=alert.number if alert.complaints else None,
                bounced=None if alert.complaints else alert.number,
                provider=alert.responsible.provider if alert.responsible else None,
            )
