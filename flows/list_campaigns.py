"""The flow that publishes the page of all campaigns."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.support.operation import operation, state_database
from tasks.campaigns import publish_campaigns


@operation("list-campaigns", run_name="list campaigns", then="The next run lists them again")
async def list_campaigns() -> State[Any]:
    """Bring the page of all campaigns up to date: the artifact `campaigns`.

    Every run that sends or changes a campaign updates the page, too. Run this one for the newest
    numbers at any time; on a schedule, it also notices runs that died. Returns the
    `Overview`.
    """
    async with state_database() as database:
        listed = await publish_campaigns(database)
    return Completed(message=listed.summary(), data=listed)
