"""The flow that updates a campaign's report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks.loading import load_connections
from flows.support.operation import operation, state_database
from flows.verify_campaign import CampaignName
from mailsluice.campaign import Throttle
from mailsluice.core.errors import CampaignError
from mailsluice.limits import Bound, bounds
from mailsluice.reports.campaign.stored import stored_report
from tasks.campaigns import refresh_campaigns
from tasks.report import publish_report


@operation("report-campaign", run_name="report {campaign}")
async def report_campaign(campaign: CampaignName) -> State[Any]:
    """Update the report of a campaign with what has happened since, such as bounces.

    This changes nothing else, so you may run it at any time, also while the campaign is sent. The
    report is under Artifacts, beside the earlier ones. Returns the `Report`.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    async with state_database() as database:
        report = await asyncio.to_thread(stored_report, database, campaign)
        names = [route.connection for route in report.routes if route.connection]
        limits = {name: await _limits(name) for name in names}
        report = replace(report, limits=limits)
        await publish_report(report, database)
        await refresh_campaigns(database)
    return Completed(message=report.summary(), data=report)


async def _limits(connection: str) -> Sequence[Bound]:
    """The connection's own limits, if its block exists; a campaign's throttle is not stored."""
    try:
        block = (await load_connections([connection]))[connection]
    except CampaignError:
        return ()
    return bounds(block, Throttle(), {}, connection)
