"""A send-connection run on a worker: one of those that share a connection of a campaign."""

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
from flows.support.console import outlive_console
from flows.support.current import Current, current
from flows.support.document import checked_parameter
from flows.support.failing import TROUBLE, failed
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.session_slots import session_slots
from flows.support.stopping import StopReason, StopRequest, look, stop_on_request, wait_for_server
from flows.support.waiting import left_when_idle, wait_seconds
from flows.support.watching_connections import watch_connections
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.delivery import RouteResult, SenderRun
from mailsluice.operations import launch
from mailsluice.store import Database, Ending, home


def shard_name(campaign: str, connection: str, shard: int, shards: int) -> str:
    """What a run is called."""
    part = f" ({shard} of {shards})" if shards > 1 else ""
    return f"Send over {connection}{part}: {campaign}"


async def send_shard(campaign: str, connection: str, shard: int, shards: int) -> State[Any]:
    """Send, as one of so many, until nobody is left on the connection."""
    outlive_console()
    try:
        if not 1 <= shard <= shards:
            raise CampaignError(f"shard {shard} of {shards}: give a number from 1 to {shards}")
        parent_id = _parent_id()
        document = await _document(parent_id, campaign)
        return await _send(document, connection, shards, parent_id)
    except TROUBLE as error:
        return failed(error)


def _parent_id() -> UUID:
    found = flow_run.get_parent_flow_run_id()
    if found is None:
        raise CampaignError(
            "send-connection is started by send-campaign: run that, with the dispatch 'workers'"
        )
    return UUID(found)


async def _document(parent_id: UUID, name: str) -> Campaign:
    """The campaign as its run has it."""
    async with get_client() as client:
        parent = await client.read_flow_run(parent_id)
    document = await checked_parameter(parent.parameters["campaign"])
    return document.model_copy(update={"name": name})


async def _send(document: Campaign, connection: str, shards: int, parent_id: UUID) -> State[Any]:
    run_id = UUID(flow_run.get_id())
    async with stop_on_request(run_id, parent_id) as request:
        await look(request, run_id, parent_id)
        if request.reason:  # before it began
            return _final(connection, request, RouteResult(connection, 0.0, 0, None))
        async with _sender(document, connection, str(run_id)) as run:
            request.attach(run)
            result = await _sent(run, document, connection, shards, request)
            await run.end(*_ending(result, request))
        await wait_for_server()
        return _final(connection, request, result)


@asynccontextmanager
async def _sender(document: Campaign, connection: str, owner: str) -> AsyncIterator[SenderRun]:
    database = await asyncio.to_thread(Database)
    try:
        run = await asyncio.to_thread(
            SenderRun, database, document, connection, owner=owner, home=home()
        )
        try:
            yield run
        finally:
            await run.close()
    finally:
        await asyncio.to_thread(database.close)


async def _sent(
    run: SenderRun, document: Campaign, connection: str, shards: int, request: StopRequest
) -> RouteResult:
    loaded = (await load_connections([connection]))[connection]
    columns = await asyncio.to_thread(run.outbox.columns)
    message = launch.compiled(document, columns, run.record.return_key)
    logger, patience = get_run_logger(), wait_seconds()
    async with (
        keep_rotated_tokens(run.tokens, logger),
        session_slots([loaded], run, logger) as slots,
    ):
        shared = Current(run, message, {connection: loaded}, slots, request, patience, shards)
        current.set(shared)
        request.handle_signals()
        async with watch_connections(shared, logger), left_when_idle(run, request, patience):
            return await run.send(
                shared.fitted(loaded), message, open_session=slots[connection].open
            )


def _ending(result: RouteResult, request: StopRequest) -> tuple[Ending, float | None]:
    if result.down:
        return Ending.DOWN, None
    if request.reason is StopReason.WAITING and request.state:
        when = request.state.state_details.scheduled_time
        assert when  # noqa: S101 a Scheduled state has one
        return Ending.WAITING, max(0.0, when.timestamp() - time.time())
    return (Ending.STOPPED if request.reason else Ending.DONE), None


def _final(connection: str, request: StopRequest, result: RouteResult) -> State[Any]:
    sent = f"{result.sent:,} sent in {result.seconds:.1f} s"
    if result.down:
        return Failed(message=f"{connection} is down, {sent}: {result.down}")
    match request.reason:
        case None:
            return Completed(message=sent)
        case StopReason.WAITING:
            return Completed(message=f"{sent}; nothing can be sent for long: its campaign waits")
        case StopReason.TERMINATED | StopReason.INTERRUPTED:
            return Crashed(message=f"{request.reason.value}, {sent}")
        case reason:
            return Cancelled(name="Stopped", message=f"{reason.value}, {sent}")
