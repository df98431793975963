"""The flow that sends a campaign: connections, recipients, subflows, report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from blocks.loading import load_connections
from flows.support.conclusion import concluded
from flows.support.deciding import announce, take_decisions
from flows.support.document import CampaignParameter, for_its_day, named_in, source_access
from flows.support.handing_over import handed_over
from flows.support.launching import launched
from flows.support.operation import operation, state_database
from flows.support.progress import ProgressReporter, progress_shown
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.run_day import day_of_run
from flows.support.sending import Sending, connection_subflow
from flows.support.server_events import ServerEvents, server_events
from flows.support.session_slots import session_slots
from flows.support.shards import Shards, WorkerDeployment, deployment_of, shards_of
from flows.support.stopping import StopReason, StopRequest, read_states, stop_on_request
from flows.support.waiting import Leaving, left_when_idle, wait_seconds
from flows.support.watching_connections import watch_connections
from mailsluice.campaign import Campaign, Dispatch, Strategy
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.limits import bounds
from mailsluice.metrics.run_meter import metered
from mailsluice.operations import launch
from mailsluice.operations.failover import watched_connections
from mailsluice.operations.finish import finishing
from mailsluice.operations.processes import processes_of
from mailsluice.operations.stop_loss import watched_losses
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database, Providers
from tasks.campaigns import refresh_campaigns
from tasks.report import prepare_pictures


def _run_name() -> str:
    """Name the run after the campaign, whose document is not checked yet."""
    campaign = flow_run.get_parameters().get("campaign")
    return named_in(campaign, day_of_run(campaign).day)


@operation("send-campaign", run_name=_run_name)
async def send_campaign(campaign: CampaignParameter) -> State[Any]:
    """Send an e-mail campaign over one or more SMTP connections.

    A campaign of the same name continues where it stopped, and nobody gets the mail twice. `{date}`
    in the name stands for the day for which this run was scheduled, in the time zone of its
    schedule; growing shares are those of that day. Returns the `Report`, unless the campaign had
    ended before.
    """
    document, day = await for_its_day(campaign)
    longest_wait = wait_seconds()
    connections = await load_connections(route.connection for route in document.routes)
    access = await source_access(document)
    deployments = await _deployments(document, connections)
    async with (
        state_database() as database,
        server_events(
            UUID(flow_run.get_id()), deployment_ids={known.id for known in deployments.values()}
        ) as events,
        stop_on_request(events, UUID(flow_run.get_id())) as request,
        launched(document, day, database, connections, access, request) as run,
    ):
        if run.record.status is CampaignStatus.CANCELLED:
            await asyncio.to_thread(
                run.cancel
            )  # that run may have been killed before its rows were
        if run.record.status in _ENDED:
            return _ENDED[run.record.status]()
        await take_decisions(run, database)
        await asyncio.to_thread(run.summary.sent_by, str(flow_run.get_id()))
        request.attach(run)
        await request.record()  # where the Cancel came during the launch
        document = document.model_copy(update={"name": run.record.name})  # the stored spelling
        routes = await asyncio.to_thread(run.campaigns.routes, run.id)
        assigned = {route.connection: route.assigned for route in routes}
        connections |= await load_connections(name for name in assigned if name not in connections)
        providers = await asyncio.to_thread(Providers(database).of, run.id)
        told = partial(announce, document.name, providers=providers)
        async with (
            watched_losses(run, document, told),
            finishing(run, document, connections),
        ):
            progress = await _send(
                database,
                document,
                assigned,
                connections,
                run,
                request,
                events,
                deployments,
                longest_wait,
            )
        if request.reason is StopReason.TERMINATED:  # perhaps by a Cancel
            await _read_state(request)
        names = await asyncio.to_thread(run.campaigns.shares, run.id)
        shares = {} if document.strategy is Strategy.THROUGHPUT else names
        limits = {
            name: bounds(connections[name], document.throttle, shares, name) for name in names
        }
        return await concluded(run, request, database, progress, limits)


_ENDED: dict[CampaignStatus, Callable[[], State[Any]]] = {
    CampaignStatus.COMPLETED: lambda: Completed(
        message="nothing to send: campaign was completed before"
    ),
    CampaignStatus.CANCELLED: lambda: Cancelled(
        message="nothing to send: campaign was cancelled, and cancelled is final"
    ),
}


async def _deployments(
    document: Campaign, connections: Iterable[str]
) -> dict[str, WorkerDeployment]:
    """The deployment whose workers send over each connection; empty where this process sends."""
    if document.dispatch is Dispatch.INLINE:
        return {}
    return {name: await deployment_of(name) for name in connections}


async def _send(
    database: Database,
    document: Campaign,
    assigned: Mapping[str, int],
    connections: dict[str, Connection],
    run: CampaignRun,
    request: StopRequest,
    events: ServerEvents,
    deployments: Mapping[str, WorkerDeployment],
    longest_wait: float,
) -> ProgressReporter:
    """Send over all connections, until no recipient is left or the run is to stop.

    `assigned` has each connection's number of recipients.
    """
    columns = await asyncio.to_thread(run.outbox.columns)
    identities = launch.identities(document, connections.values())
    messages = launch.messages(document, columns, identities, run.record.return_key)
    logger = get_run_logger()
    async with (
        keep_rotated_tokens(run.tokens, logger),
        session_slots(connections.values(), run, logger, events) as slots,
        processes_of(
            run,
            document,
            {name: connections[name] for name in assigned},
            (await asyncio.to_thread(run.campaigns.get, document.name)).accepted,
            lambda name: slots[name].slots,
            [known.lock for known in slots.values() if known.lock is not None],
        ) as processes,
    ):
        sending = Sending(
            run,
            messages,
            connections,
            slots,
            request,
            standbys=document.standbys,
            processes=processes,
        )
        async with (
            watch_connections(sending, events, logger),
            progress_shown(
                run, document.sending_window, partial(refresh_campaigns, database)
            ) as progress,
            metered(run, document, sending.connections),
        ):
            names = list(assigned)
            is_inline = document.dispatch is Dispatch.INLINE
            async with watched_connections(
                run,
                document,
                names,
                sending.connections,
                partial(handed_over, document.name),
                is_elsewhere=processes is not None or not is_inline,
            ):
                if is_inline:
                    await _send_here(
                        document.name, names, sending, run, longest_wait, progress.update
                    )
                else:
                    await _send_on_workers(document, names, sending, run, deployments)
    return progress


async def _send_here(
    campaign: str,
    names: Sequence[str],
    sending: Sending,
    run: CampaignRun,
    longest_wait: float,
    leaving: Leaving,
) -> None:
    """Send over all connections at once, each in a subflow that fails alone.

    `leaving` is called before the run leaves its worker because it would wait for too long.
    """
    progress = await run.progress()
    if not progress.pool.left:  # else each connection may send to any of them
        sending.waiting.update(
            {standing.connection: standing.tally.left for standing in progress.standings}
        )
    subflow = connection_subflow(sending)
    if sending.processes:
        sending.processes.start(names)
    # Prefect numbers subflows in the order of their calls, and a run that is started again finds
    # them by these numbers. Tasks begin in the order in which they are made.
    subflows = [asyncio.ensure_future(subflow(campaign, name)) for name in names]
    for name, started in zip(names, subflows, strict=True):
        started.add_done_callback(partial(_ended, run, name))
    prepare_pictures()  # while Prefect creates the subflows
    async with left_when_idle(sending, longest_wait, leaving):
        ends = await asyncio.gather(*subflows, return_exceptions=True)
    for name, end in zip(names, ends, strict=True):
        if isinstance(end, Pause):  # Prefect's engine has noticed the Suspend first
            await _read_state(sending.stop_request)
            continue
        if isinstance(end, BaseException):
            raise end
        if end.is_failed() or end.is_crashed():
            get_run_logger().error("%s: %s", name, end.message)


def _ended(run: CampaignRun, name: str, _subflow: asyncio.Future[State[Any]]) -> None:
    """Tell the run, also where Prefect could not begin the subflow, so that no other waits."""
    run.sending_ended(name)


async def _send_on_workers(
    document: Campaign,
    names: Sequence[str],
    sending: Sending,
    run: CampaignRun,
    deployments: Mapping[str, WorkerDeployment],
) -> None:
    """Send over all connections at once, each by runs on workers that share its sessions."""
    shards = [
        shard
        for name in names
        for shard in shards_of(sending.connections[name], document.sessions_per_worker)
    ]
    await Shards(run, sending.stop_request, deployments, get_run_logger(), sending.standbys).send(
        shards
    )


async def _read_state(request: StopRequest) -> None:
    """Ask the server now whether the run is to stop, if the server answers."""
    with suppress(httpx.HTTPError):
        await read_states(request, UUID(flow_run.get_id()))
