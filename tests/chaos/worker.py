"""The process that is killed: one run of a campaign, on the engine."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from datetime import date

from mailsluice.core.errors import OutboxError
from mailsluice.delivery import CampaignRun
from mailsluice.operations.finish import finishing
from mailsluice.operations.lending.planner import LendingSettings
from mailsluice.operations.processes import member, processes, processes_of
from mailsluice.operations.send import prepare, send_connections, send_in_processes
from mailsluice.operations.stop_loss import watched_losses
from mailsluice.stop_loss import Decision
from mailsluice.store import Database, campaign_tables
from mailsluice.store.trouble import DatabaseError
from tests.chaos.plan import Plan

UNFINISHED = 3
NO_DATABASE = 4
_QUICK = LendingSettings(look=0.02, proof=0.1, batch=0.5, worthwhile=0.1)


def work(plan: Plan, number: int, ports: Mapping[str, int]) -> None:
    """Prepare a campaign, or go on with it. Exits with UNFINISHED if recipients wait.

    SIGTERM lets messages in flight finish.
    """
    campaign_tables.FROM_RECIPIENTS = 1  # on PostgreSQL, its own tables, as of a large campaign
    processes._LOOK_SECONDS = 0.1
    processes._RESTART_SECONDS = (0.0,) * (plan.kills + 3)  # type: ignore[assignment]
    member._CHILD = "tests.chaos.child"
    try:
        with Database(plan.database_url) as database:
            still_open = asyncio.run(_send(plan, number, ports, database))
    except (OutboxError, DatabaseError) as error:  # it was held, or its links were cut
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(NO_DATABASE)
    sys.exit(UNFINISHED if still_open else 0)


async def _send(plan: Plan, number: int, ports: Mapping[str, int], database: Database) -> int:
    campaign = plan.campaign(number)
    run = await asyncio.to_thread(
        prepare, database, campaign, owner="chaos", home=plan.folder, day=date(2026, 1, 5)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.stop)
    try:
        await asyncio.to_thread(_decide, run)
        connections = {name: plan.connection(name, port) for name, port in ports.items()}
        await asyncio.to_thread(run.count)
        async with (
            processes_of(run, campaign, connections, plan.recipients) as parts,
            watched_losses(run, campaign),
            finishing(run, campaign, connections),
        ):
            if parts:
                await send_in_processes(run, campaign, parts, lending=_QUICK)
            else:
                targets = [*connections.values()]
                await send_connections(run, campaign, targets, lending=_QUICK)
        return (await asyncio.to_thread(run.report)).open
    finally:
        await run.close()


def _decide(run: CampaignRun) -> None:
    """Decide as an operator does: every other held part moves if it can, the rest go on."""
    for hold in run.undecided():
        targets = run.may_move_to(hold.unit)
        if targets and hold.id % 2:
            run.decide(hold, Decision.MOVE, targets[0])
        else:
            run.decide(hold, Decision.GO_ON)
