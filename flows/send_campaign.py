"""The flow that sends a campaign: recipients, connections, subflows, report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed

from blocks.loading import load_connections
from flows.send_connection import send_connection
from flows.support.bounce_shares import tell_bounce_shares
from flows.support.console import outlive_console
from flows.support.current import Current, current
from flows.support.document import CampaignParameter, database_engines, for_its_day, named_in
from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from flows.support.progress import ProgressReporter, progress_shown
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.run_day import day_of_run
from flows.support.session_slots import session_slots
from flows.support.shards import Shards, deployment_of, shards_of
from flows.support.stopping import (
    StopReason,
    StopRequest,
    look,
    show_subflows,
    stop_on_request,
    wait_for_server,
)
from flows.support.waiting import come_back, left_when_idle, wait_seconds
from flows.support.watching_connections import watch_connections
from mailsluice.audience.engines import Connect
from mailsluice.campaign import Campaign, Dispatch, DownPolicy
from mailsluice.core.errors import CampaignBusyError, CampaignError
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.limits import Bound, bounds
from mailsluice.operations import accounts, launch
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, home
from tasks.assign_connections import assign_connections
from tasks.report import publish_report
from tasks.resolve_recipients import resolve_recipients


def _run_name() -> str:
    """The campaign's name, as far as it can be told before the document is checked."""
    campaign = flow_run.get_parameters().get("campaign")
    return named_in(campaign, day_of_run(campaign).day)


@labelled
@flow(name="send-campaign", flow_run_name=_run_name, persist_result=False)
async def send_campaign(campaign: CampaignParameter) -> State[Any]:
    """Send an e-mail campaign over one or more SMTP connections.

    The same name again goes on where it stopped: nobody gets the mail twice. `{date}` in the name
    stands for the day this run was scheduled for, in the time zone of its schedule; shares that
    grow are those of that day. Returns the `Report`, unless the campaign had ended before.
    """
    outlive_console()
    try:
        return await _send(*await for_its_day(campaign))
    except TROUBLE as error:
        return failed(error)


async def _send(document: Campaign, day: date) -> State[Any]:
    longest_wait = wait_seconds()
    connections = await load_connections(route.connection for route in document.routes)
    connect = await database_engines(document)
    deployments = await _deployments(document, connections)
    database = await asyncio.to_thread(Database)
    flow_run_id = UUID(flow_run.get_id())
    try:
        async with (
            stop_on_request(flow_run_id) as request,
            _prepared(document, day, database, connections, connect, request) as run,
        ):
            if run.record.status in _ENDED:
                return _ENDED[run.record.status]()
            request.attach(run)
            document = document.model_copy(update={"name": run.record.name})  # as it is stored
            columns = await asyncio.to_thread(run.outbox.columns)
            message = launch.compiled(document, columns, run.record.return_key)
            routes = await asyncio.to_thread(run.campaigns.routes, run.id)
            names = [one.connection for one in routes]
            connections |= await load_connections(one for one in names if one not in connections)
            logger = get_run_logger()
            async with (
                keep_rotated_tokens(run.tokens, logger),
                session_slots(connections.values(), run, logger) as slots,
            ):
                shared = Current(run, message, connections, slots, request, longest_wait)
                current.set(shared)
                async with (
                    watch_connections(shared, logger),
                    progress_shown(run, document.sending_window) as progress,
                ):
                    await _send_all(document, names, shared, run, deployments)
            if request.reason is StopReason.TERMINATED:  # by a Cancel, perhaps
                await _look(request)
            shares = await asyncio.to_thread(run.campaigns.shares, run.id)
            limits = _limits(document, shares, connections)
            return await _concluded(run, request, database, progress, limits)
    finally:
        await asyncio.to_thread(database.close)


_ENDED: dict[CampaignStatus, Callable[[], State[Any]]] = {
    CampaignStatus.COMPLETED: lambda: Completed(
        message="nothing to send: campaign was completed before"
    ),
    CampaignStatus.CANCELLED: lambda: Cancelled(
        message="nothing to send: campaign was cancelled, and cancelled is final"
    ),
}
_WAIT_SECONDS = 5.0


@asynccontextmanager
async def _prepared(
    document: Campaign,
    day: date,
    database: Database,
    connections: Mapping[str, Connection],
    connect: Connect,
    request: StopRequest,
) -> AsyncIterator[CampaignRun]:
    """Make the campaign ready to be sent: recipients stored, each with its connection."""
    content = await asyncio.to_thread(launch.content, document)
    record = await asyncio.to_thread(Campaigns(database).find, document.name)
    is_new = record is None or record.status is CampaignStatus.RESOLVING
    audience = await resolve_recipients(document, database, connect) if is_new else None
    try:
        run = await _only_run(document, content, database, request)
        try:
            if run.record.status is CampaignStatus.RESOLVING:
                if audience is None:
                    raise CampaignError(
                        f"campaign {document.name!r} was reset meanwhile: try again"
                    )
                moment = await asyncio.to_thread(database.moment)
                warm_ups = {name: one.warm_up for name, one in connections.items()}
                occasion = launch.Occasion(day, moment, warm_ups)
                await assign_connections(database, run, document, audience, occasion)
            yield run
        finally:
            await run.close()
    finally:
        if audience is not None:
            audience.close()


async def _deployments(document: Campaign, connections: Iterable[str]) -> dict[str, str]:
    """By connection: whose workers send. Nothing where this process does."""
    if document.dispatch is Dispatch.INLINE:
        return {}
    return {name: await deployment_of(name) for name in connections}


async def _send_all(
    document: Campaign,
    connections: list[str],
    shared: Current,
    run: CampaignRun,
    deployments: dict[str, str],
) -> None:
    """Send over all connections at once; each fails alone."""

    async def send_over(names: list[str]) -> None:
        if document.dispatch is Dispatch.INLINE:
            await _send_over(document, names, shared)
            return
        parts = [
            part
            for name in names
            for part in shards_of(shared.connections[name], document.sessions_per_worker)
        ]
        await Shards(run, shared.stop_request, deployments, get_run_logger()).send(parts)

    await send_over(connections)
    if document.on_connection_down is DownPolicy.REASSIGN:
        while shared.stop_request.reason is None:
            more = await asyncio.to_thread(run.reassign)
            names = [name for name in connections if name in more]
            if not names:
                return
            await send_over(names)


async def _send_over(document: Campaign, names: list[str], shared: Current) -> None:
    standings = (await shared.run.progress()).standings
    shared.waiting.update({one.connection: one.tally.left for one in standings})
    # All at once. Prefect numbers subflows in the order of their calls, and a run that is started
    # again finds them by these numbers: tasks begin in the order in which they are made.
    sending = [
        asyncio.ensure_future(send_connection(document.name, name, return_state=True))
        for name in names
    ]
    async with left_when_idle(shared.run, shared.stop_request, shared.longest_wait_seconds):
        ends = await asyncio.gather(*sending, return_exceptions=True)
    for name, end in zip(names, ends, strict=True):
        if isinstance(end, Pause):  # Prefect's engine has seen the Suspend first
            await _look(shared.stop_request)
            continue
        if isinstance(end, BaseException):
            raise end
        if end.is_failed() or end.is_crashed():
            get_run_logger().error("%s: %s", name, end.message)


async def _look(request: StopRequest) -> None:
    """Ask the server at once whether the run is to stop, where the server answers."""
    with suppress(httpx.HTTPError):
        await look(request, UUID(flow_run.get_id()))


async def _only_run(
    document: Campaign, content: dict[str, Any], database: Database, request: StopRequest
) -> CampaignRun:
    """Become the only run that sends this campaign.

    This run itself may still live in another process, where it was taken for dead: while Prefect's
    server was away it gave no sign of life. Then wait until that process is done.
    """
    run_id = flow_run.get_id()
    owner = f"{flow_run.get_name()} ({run_id})"
    while True:
        try:
            return await asyncio.to_thread(
                CampaignRun, database, document, content, owner=owner, home=home()
            )
        except CampaignBusyError as busy:
            if request.reason or f"({run_id})" not in busy.owner:
                raise
            get_run_logger().info("this run still sends in another process: waiting for its end")
            await asyncio.sleep(_WAIT_SECONDS)


def _limits(
    document: Campaign, shares: Mapping[str, Decimal], connections: Mapping[str, Connection]
) -> dict[str, list[Bound]]:
    """What each connection's messages fell under, for the report."""
    return {name: bounds(connections[name], document.throttle, shares, name) for name in shares}


async def _concluded(
    run: CampaignRun,
    request: StopRequest,
    database: Database,
    progress: ProgressReporter,
    limits: Mapping[str, Sequence[Bound]],
) -> State[Any]:
    """The state this run ends in, after its report."""
    if request.reason is StopReason.CANCELLED:
        await asyncio.to_thread(run.cancel)
    report = await asyncio.to_thread(run.report)
    verified = await asyncio.to_thread(_verified, database, report.campaign)
    await wait_for_server()
    await progress.conclude(report, request.reason)
    await tell_bounce_shares(database, [run.id], get_run_logger())
    if request.reason is StopReason.SUSPENDED:
        get_run_logger().info("suspended: %s", report.summary())
        await show_subflows(UUID(flow_run.get_id()), request.reason)
        raise Pause(state=request.state)
    if request.reason is StopReason.WAITING and request.state and report.open:
        raise Pause(state=await come_back(request.state, report.summary()))
    await publish_report(replace(report, limits=limits), database)
    if request.reason is StopReason.CANCELLED:
        await show_subflows(UUID(flow_run.get_id()), request.reason)
        return Cancelled(message=report.summary())
    if request.reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    if request.reason is StopReason.TERMINATED:
        return Crashed(message=f"stopped by SIGTERM: {report.summary()}. Retry this run to go on")
    summary = f"{report.summary()}{_why(report)}"
    if not verified.is_conserved:
        return Failed(message=f"{summary}. The books do not balance: {verified.summary()}")
    if report.open:
        return Failed(message=f"{summary}. Retry this run to go on")
    return Completed(message=summary, data=report)


def _verified(database: Database, campaign: str) -> accounts.Verification:
    # Addresses cannot become duplicates after the launch: no need to compare them again.
    tally = accounts.tally(database, campaign, addresses=False)
    return accounts.verify(tally, at_end_of_run=True)


def _why(report: Report) -> str:
    return "".join(f"; {name} is down: {why}" for name, why in report.down.items())
