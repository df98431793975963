"""The process that is killed: one run of the campaign, on the engine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import date

from mailsluice.operations.processes import processes_of
from mailsluice.operations.send import prepare, send_connections, send_in_processes
from mailsluice.store import Database, campaign_tables
from tests.chaos.plan import Plan

UNFINISHED = 3


def work(plan: Plan, ports: Mapping[str, int]) -> None:
    """Prepare the campaign, or go on with it. Exits with UNFINISHED where recipients wait."""
    campaign_tables.FROM_RECIPIENTS = 1  # on PostgreSQL, tables of its own as a large campaign has
    with Database(plan.database_url) as database:
        still_open = asyncio.run(_send(plan, ports, database))
    sys.exit(UNFINISHED if still_open else 0)


async def _send(plan: Plan, ports: Mapping[str, int], database: Database) -> int:
    campaign = plan.campaign()
    run = await asyncio.to_thread(
        prepare, database, campaign, owner="chaos", home=plan.folder, day=date(2026, 1, 5)
    )
    try:
        connections = {name: plan.connection(name, port) for name, port in ports.items()}
        await asyncio.to_thread(run.count)
        async with processes_of(run, campaign, connections, plan.recipients) as processes:
            if processes:
                await send_in_processes(run, campaign, processes)
            else:
                await send_connections(run, campaign, [*connections.values()])
        return run.report().open
    finally:
        await run.close()
