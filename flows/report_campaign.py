"""The flow that makes a campaign's report anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from blocks.loading import load_connections
from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from flows.verify_campaign import CampaignName
from mailsluice.campaign import Throttle
from mailsluice.core.errors import CampaignError
from mailsluice.limits import Bound, bounds
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.store import Database
from tasks.report import publish_report


@labelled
@flow(name="report-campaign", flow_run_name="report {campaign}", persist_result=False)
async def report_campaign(campaign: CampaignName) -> State[Any]:
    """Make the report of a campaign anew, with what has become of it since: bounces, for example.

    Changes nothing, so it may be run at any time, also while the campaign is sent. It is under
    Artifacts with the earlier ones. Returns the `Report`.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    try:
        database = await asyncio.to_thread(Database)
    except TROUBLE as error:
        return failed(error)
    try:
        report = await asyncio.to_thread(stored_report, database, campaign)
        limits = {one.connection: await _limits(one.connection) for one in report.routes}
        report = replace(report, limits=limits)
        await publish_report(report, database)
    except TROUBLE as error:
        return failed(error)
    finally:
        await asyncio.to_thread(database.close)
    return Completed(message=report.summary(), data=report)


async def _limits(connection: str) -> Sequence[Bound]:
    """Its own, as far as its block is still there; a campaign's throttle only its run knows."""
    try:
        block = (await load_connections([connection]))[connection]
    except CampaignError:
        return ()
    return bounds(block, Throttle(), {}, connection)
