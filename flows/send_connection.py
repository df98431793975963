"""The flow that sends over one connection of a campaign, on a worker.

send-campaign starts it with the dispatch 'workers'. Several runs may share the connection's
sessions: each is one shard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed

from blocks.loading import load_connections
from flows.support.document import checked_parameter
from flows.support.operation import operation, state_database
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.sending import Sending
from flows.support.server_events import ServerEvents, server_events
from flows.support.session_slots import session_slots
from flows.support.shards import shard_name
from flows.support.stopping import (
    STOPPED,
    StopReason,
    StopRequest,
    read_states,
    stop_on_request,
    wait_for_server,
)
from flows.support.waiting import left_when_idle, wait_seconds
from flows.support.watching_connections import watch_connections
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.delivery import RouteResult, SenderRun
from mailsluice.operations import launch
from mailsluice.store import Ending, home


def _run_name() -> str:
    values = flow_run.get_parameters()
    return shard_name(values["campaign"], values["connection"], values["shard"], values["shards"])


@operation("send-connection", run_name=_run_name)
async def send_connection(
    campaign: str, connection: str, shard: int = 1, shards: int = 1
) -> State[Any]:
    """Send to the recipients that a campaign assigned to one connection, on a worker.

    send-campaign starts these runs with the dispatch 'workers'; do not start one by hand. Runs of
    the same connection share its sessions and its limits.

    Args:
        campaign: The campaign's name.
        connection: The connection's name.
        shard: The number of this run among those that share the connection, from 1.
        shards: How many runs share the connection.
    """
    if not 1 <= shard <= shards:
        raise CampaignError(f"shard {shard} of {shards}: give a number from 1 to {shards}")
    parent_id, run_id = _parent_id(), UUID(flow_run.get_id())
    document = await _document(parent_id, campaign)
    async with (
        server_events(run_id, parent_id) as events,
        stop_on_request(events, run_id, parent_id) as request,
    ):
        await read_states(request, run_id, parent_id)
        if request.reason:  # stopped before it began
            return _final(connection, request, RouteResult(connection, 0.0, 0, None))
        async with _sender(document, connection, str(run_id)) as run:
            request.attach(run)
            result = await _sent(run, document, connection, shards, request, events)
            await run.end(*_ending(result, request))
        await wait_for_server(events)
        return _final(connection, request, result)


def _parent_id() -> UUID:
    parent_id = flow_run.get_parent_flow_run_id()
    if parent_id is None:
        raise CampaignError(
            "send-connection is started by send-campaign: run that, with the dispatch 'workers'"
        )
    return UUID(parent_id)


async def _document(parent_id: UUID, name: str) -> Campaign:
    """The campaign's document, from the parameters of the campaign's run."""
    async with get_client() as client:
        parent = await client.read_flow_run(parent_id)
    document = await checked_parameter(parent.parameters["campaign"])
    return document.model_copy(update={"name": name})


@asynccontextmanager
async def _sender(document: Campaign, connection: str, owner: str) -> AsyncIterator[SenderRun]:
    async with state_database() as database:
        run = await asyncio.to_thread(
            SenderRun, database, document, connection, owner=owner, home=home()
        )
        try:
            yield run
        finally:
            await run.close()


async def _sent(
    run: SenderRun,
    document: Campaign,
    connection: str,
    shards: int,
    request: StopRequest,
    events: ServerEvents,
) -> RouteResult:
    connections = await load_connections([connection])
    columns = await asyncio.to_thread(run.outbox.columns)
    identities = launch.identities(document, connections.values())
    messages = launch.messages(document, columns, identities, run.record.return_key)
    logger = get_run_logger()
    async with (
        keep_rotated_tokens(run.tokens, logger),
        session_slots(connections.values(), run, logger, events, shards) as slots,
    ):
        sending = Sending(run, messages, connections, slots, request, shards)
        request.handle_signals()
        async with (
            watch_connections(sending, events, logger),
            left_when_idle(sending, wait_seconds()),
        ):
            return await sending.send(connection)


def _ending(result: RouteResult, request: StopRequest) -> tuple[Ending, float | None]:
    """How the sender ended, and in how many seconds it has work again, for its record."""
    if result.down:
        return Ending.DOWN, None
    if request.reason is StopReason.WAITING and request.state:
        when = request.state.state_details.scheduled_time
        assert when  # noqa: S101 a Scheduled state has one
        return Ending.WAITING, max(0.0, when.timestamp() - time.time())
    return (Ending.STOPPED if request.reason else Ending.DONE), None


def _final(connection: str, request: StopRequest, result: RouteResult) -> State[Any]:
    summary = result.summary()
    if result.down:
        return Failed(message=f"{connection} is down, {summary}: {result.down}")
    match request.reason:
        case None:
            return Completed(message=summary)
        case StopReason.WAITING:
            return Completed(message=f"{summary}; nothing can be sent for now, the campaign waits")
        case StopReason.TERMINATED | StopReason.INTERRUPTED:
            return Crashed(message=f"{request.reason.value}, {summary}")
        case reason:
            return Cancelled(name=STOPPED, message=f"{reason.value}, {summary}")
