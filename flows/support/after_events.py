"""Emit alerts and bring pages up to date after events or returned mail were recorded."""

from __future__ import annotations

import logging
from collections.abc import Collection

from flows.support.bounce_shares import emit_bounce_alerts
from mailsluice.store import Database
from tasks.campaigns import refresh_campaigns
from tasks.report import refresh_report


async def after_events(
    database: Database,
    campaign_ids: Collection[int],
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> None:
    """Check the thresholds of campaigns whose deliveries have changed, and refresh their reports.

    Only the latest report of each campaign changes, in place, and then the page of all campaigns. A
    campaign that is still sent has no report yet; the one at its end shows the deliveries. A page
    that cannot be refreshed is left as it is, with a warning: the next events refresh it.
    """
    await emit_bounce_alerts(database, campaign_ids, logger)
    for campaign_id in sorted(campaign_ids):
        try:
            await refresh_report(database, campaign_id)
        except Exception as error:  # noqa: BLE001 a report hinders neither events nor a run
            reason = type(error).__name__
            logger.warning("the report of campaign %d was not refreshed: %s", campaign_id, reason)
    if campaign_ids:
        await refresh_campaigns(database)
