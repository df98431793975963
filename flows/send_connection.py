"""The flow that sends over one connection of a campaign."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows.support.current import Current, current
from flows.support.labels import labelled
from flows.support.shard import send_shard, shard_name
from flows.support.stopping import wait_for_server


def _run_name() -> str:
    parameters = flow_run.get_parameters()
    campaign, connection = parameters["campaign"], parameters["connection"]
    shared = current.get(None)
    if shared is None:
        return shard_name(campaign, connection, parameters["shard"], parameters["shards"])
    recipients = shared.waiting.get(connection, 0)
    return f"Send over {connection}: {recipients:,} recipients of {campaign}"


@labelled
@flow(name="send-connection", flow_run_name=_run_name, persist_result=False)
async def send_connection(
    campaign: str, connection: str, shard: int = 1, shards: int = 1
) -> State[Any]:
    """Send to the recipients that a campaign assigned to one connection.

    Started by send-campaign: as a part of its own process, or, with the dispatch 'workers', as runs
    of this deployment, which share the connection.

    Args:
        campaign: The campaign's name.
        connection: The connection's name.
        shard: Which one of the runs that share the connection this is, from 1.
        shards: How many they are.
    """
    shared = current.get(None)
    if shared is None:
        return await send_shard(campaign, connection, shard, shards)
    return await _send(connection, shared)


async def _send(connection: str, shared: Current) -> State[Any]:
    shared.stop_request.handle_signals()
    result = await shared.run.send(
        shared.connections[connection],
        shared.message,
        open_session=shared.slots[connection].open,
    )
    await wait_for_server()
    sent = f"{result.sent:,} sent in {result.seconds:.1f} s"
    if result.down:
        return Failed(message=f"{connection} is down, {sent}: {result.down}")
    if reason := shared.stop_request.reason:
        return Cancelled(name="Stopped", message=f"{reason.value}, {sent}")
    return Completed(message=sent)
