"""The flow that shows what a campaign would do."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import AwareDatetime, BeforeValidator, WithJsonSchema

from blocks.loading import load_connections
from flows.support.document import CampaignParameter, for_its_day, named_in, source_access
from flows.support.operation import operation, state_database
from mailsluice.campaign import Campaign
from mailsluice.operations import launch
from mailsluice.operations.plan import Plan
from mailsluice.operations.plan.launching import plan_launch
from tasks.plan import publish_plan
from tasks.resolve_recipients import resolve_recipients

# Plain text in the form: with a date picker, one that leaves it empty is not accepted.
Moment = Annotated[
    AwareDatetime | None,
    BeforeValidator(lambda value: value or None),
    WithJsonSchema({"type": "string"}),
]
_NOW: Any = ""


def _run_name() -> str:
    return f"plan {named_in(flow_run.get_parameters().get('campaign'))}"


@operation("plan-campaign", run_name=_run_name)
async def plan_campaign(campaign: CampaignParameter, starts_at: Moment = _NOW) -> State[Any]:
    """Show what a campaign would do, without sending or storing anything.

    The plan lists the accepted recipients, how many each connection sends and which limit binds it,
    when the campaign would end, how the message looks, and warnings. The launch uses the same code,
    and shows the same digest of which recipient is sent over which connection on which day. Returns
    the `Plan`.

    Args:
        campaign: The campaign, as send-campaign takes it.
        starts_at: When the campaign would start, such as 2026-12-01T09:00+01:00: {date}, growing
            shares, warm-ups and the sending window depend on it. Left empty: now.
    """
    document, day = await for_its_day(campaign, starts_at)
    plan = await _plan(document, day, starts_at)
    await publish_plan(plan)
    return Completed(message=plan.summary(), data=plan)


async def _plan(document: Campaign, day: date, starts_at: datetime | None) -> Plan:
    connections = await load_connections(route.connection for route in document.routes)
    access = await source_access(document)
    warm_ups = {name: connection.warm_up for name, connection in connections.items()}
    identities = launch.identities(document, connections.values())
    async with state_database() as database:
        now = await asyncio.to_thread(database.moment)
        occasion = launch.Occasion(day, starts_at or now, warm_ups)
        with await resolve_recipients(document, database, access, identities) as audience:
            return await asyncio.to_thread(
                plan_launch, document, database, audience, connections, occasion
            )
