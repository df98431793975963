"""The flow that makes a campaign's report anew."""

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
from tasks.report import publish_report


@operation("report-campaign", run_name="report {campaign}")
async def report_campaign(campaign: CampaignName) -> State[Any]:
    """Make the report of a campaign anew, with what has become of it since: bounces, for example.

    Changes nothing, so it may be run at any time, also while the campaign is sent. It is under
    Artifacts with the earlier ones. Returns the `Report`.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    async with state_database() as database:
        report = await asyncio.to_thread(stored_report, database, campaign)
        limits = {route.connection: await _limits(route.connection) for route in report.routes}
        report = replace(report, limits=limits)
        await publish_report(report, database)
    return Completed(message=report.summary(), data=report)


async def _limits(connection: str) -> Sequence[Bound]:
    """Its own, as far as its block is still there; a campaign's throttle only its run knows."""
    try:
        block = (await load_connections([connection]))[connection]
    except CampaignError:
        return ()
    return bounds(block, Throttle(), {}, connection)
