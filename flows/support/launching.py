"""Launch a campaign: resolve its recipients, and store each with its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from prefect import get_run_logger
from prefect.runtime import flow_run

from flows.support.operation import run_owner
from flows.support.stopping import StopRequest
from mailsluice.audience.engines import SourceAccess
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignBusyError, CampaignError
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.operations import launch
from mailsluice.operations.finish import refuse_impossible
from mailsluice.operations.sizes import refuse_too_large
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, home
from tasks.assign_connections import assign_connections
from tasks.resolve_recipients import resolve_recipients

_WAIT_SECONDS = 5.0


@asynccontextmanager
async def launched(
    document: Campaign,
    day: date,
    database: Database,
    connections: Mapping[str, Connection],
    access: SourceAccess,
    request: StopRequest,
) -> AsyncIterator[CampaignRun]:
    """Launch a campaign, or continue one that was launched; the run ends with the `with` block.

    Raises MailsluiceError where the campaign cannot be sent as it is.
    """
    content = await asyncio.to_thread(launch.content, document)
    record = await asyncio.to_thread(Campaigns(database).find, document.name)
    is_new = record is None or record.status is CampaignStatus.RESOLVING
    if is_new:
        refuse_impossible(document, await asyncio.to_thread(database.moment))
        await refuse_too_large(document, connections)
    identities = launch.identities(document, connections.values())
    audience = await resolve_recipients(document, database, access, identities) if is_new else None
    try:
        run = await _only_run(document, content, database, request)
        try:
            if run.record.status is CampaignStatus.RESOLVING:
                if audience is None:
                    raise CampaignError(
                        f"campaign {document.name!r} was reset meanwhile: try again"
                    )
                moment = await asyncio.to_thread(database.moment)
                warm_ups = {name: known.warm_up for name, known in connections.items()}
                occasion = launch.Occasion(day, moment, warm_ups, connections)
                await assign_connections(database, run, document, audience, occasion)
        except BaseException:
            await run.close()
            raise
    finally:
        if audience is not None:  # sending takes hours, and does not need it
            await asyncio.to_thread(launch.forget, audience)
    try:
        yield run
    finally:
        await run.close()


async def _only_run(
    document: Campaign, content: dict[str, Any], database: Database, request: StopRequest
) -> CampaignRun:
    """Become the only run that sends this campaign.

    This flow run may still send in another process: when a process cannot report because the server
    is away, Prefect takes it for dead and starts the run again. Then this waits for the end of that
    process.
    """
    owner = run_owner()
    while True:
        try:
            return await asyncio.to_thread(
                CampaignRun, database, document, content, owner=owner, home=home()
            )
        except CampaignBusyError as busy:
            if request.reason or f"({flow_run.get_id()})" not in busy.owner:
                raise
            get_run_logger().info("this run still sends in another process; waiting for its end")
            await asyncio.sleep(_WAIT_SECONDS)
