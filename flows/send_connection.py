"""The subflow that sends over one connection."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows.current import current
from flows.stopping import wait_for_server


def _run_name() -> str:
    parameters = flow_run.get_parameters()
    campaign, connection = parameters["campaign"], parameters["connection"]
    recipients = current.get().waiting.get(connection, 0)
    return f"Send over {connection}: {recipients:,} recipients of {campaign}"


@flow(name="send-connection", flow_run_name=_run_name, persist_result=False)
async def send_connection(campaign: str, connection: str) -> State[Any]:  # noqa: ARG001 in its name
    """Send to the recipients that a campaign assigned to one connection.

    Called by send-campaign, which prepares what all its connections share.
    """
    shared = current.get()
    shared.stop_request.handle_signals()
    shared.begun[connection].set()
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
