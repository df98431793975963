"""The process that is killed: one run of the campaign, on the engine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.operations import launch
from mailsluice.store import Database
from tests.chaos.plan import Plan

UNFINISHED = 3


def work(plan: Plan, ports: Mapping[str, int]) -> None:
    """Prepare the campaign, or go on with it. Exits with UNFINISHED where recipients wait."""
    with Database(plan.database_url) as database:
        still_open = asyncio.run(_send(plan, ports, database))
    sys.exit(UNFINISHED if still_open else 0)


async def _send(plan: Plan, ports: Mapping[str, int], database: Database) -> int:
    campaign = plan.campaign()
    content = launch.content(campaign)
    run = CampaignRun(database, campaign, content, owner="chaos", home=plan.folder)
    try:
        if run.record.status is CampaignStatus.RESOLVING:
            with launch.resolve_audience(campaign, database, _none) as audience:
                occasion = launch.Occasion(date(2026, 1, 5), database.moment())
                launch.store_audience(database, run.id, campaign, audience, occasion)
        message = launch.compiled(campaign, run.outbox.columns())
        await asyncio.gather(
            *(run.send(plan.connection(name, port), message) for name, port in ports.items())
        )
        return run.report().open
    finally:
        await run.close()


def _none(name: str) -> sa.Engine:
    raise AssertionError(name)
