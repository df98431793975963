"""The subflow that sends over one connection."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.current import current


@flow(name="send-connection", flow_run_name="{campaign}: {connection}", persist_result=False)
async def send_connection(campaign: str, connection: str) -> State[Any]:  # noqa: ARG001 in its name
    """Send to the recipients that a campaign assigned to one connection.

    Called by send-campaign, which prepares what all its connections share.
    """
    shared = current.get()
    result = await shared.run.send(shared.connections[connection], shared.message)
    shared.results[connection] = result
    if result.down:
        return Failed(message=f"{connection} is down: {result.down}")
    return Completed(message=f"{connection}: {result.sent:,} sent in {result.seconds:.1f} s")
