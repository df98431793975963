"""The report of a campaign's run, and the run's final state."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed

from flows.support.bounce_shares import emit_bounce_alerts
from flows.support.deciding import ask
from flows.support.operation import is_deployed
from flows.support.progress import ProgressReporter
from flows.support.stopping import StopReason, StopRequest, show_subflows, wait_for_server
from flows.support.waiting import reschedule
from mailsluice.delivery import CampaignRun
from mailsluice.limits import Bound
from mailsluice.operations import accounts
from mailsluice.reports.campaign import Report
from mailsluice.store import Database
from tasks.campaigns import refresh_campaigns
from tasks.report import publish_report

DECIDE = "Decide with `mailsluice decide`, then send the campaign again"


async def concluded(
    run: CampaignRun,
    request: StopRequest,
    database: Database,
    progress: ProgressReporter,
    limits: Mapping[str, Sequence[Bound]],
) -> State[Any]:
    """Publish the campaign's report, and return the run's state.

    `limits` are the limits of each connection's messages. Raises Pause where the run is suspended,
    continues later or waits for a decision, and KeyboardInterrupt after Ctrl-C.
    """
    if request.reason is StopReason.CANCELLED:
        await request.record()
        await asyncio.to_thread(run.cancel)
    report = await asyncio.to_thread(run.report)
    verified = await asyncio.to_thread(_verified, database, report.campaign)
    await wait_for_server(request.events)
    concluding: list[Coroutine[Any, Any, None]] = [
        progress.conclude(report, request.reason),
        emit_bounce_alerts(database, [run.id], get_run_logger()),
    ]
    continues = request.reason is StopReason.SUSPENDED or (
        request.reason is StopReason.WAITING and request.state and report.open
    )
    holds = await asyncio.to_thread(run.undecided)
    asks = bool(holds and request.reason is None and report.open and is_deployed())
    full = None if continues or asks else replace(report, limits=limits)
    concluding.append(_publish(full, database))
    await _together(concluding)
    run_id = UUID(flow_run.get_id())
    if request.reason is StopReason.SUSPENDED:
        get_run_logger().info("suspended: %s", report.summary())
        await show_subflows(run_id, request.reason)
        raise Pause(state=request.state)
    if continues and request.state:
        raise Pause(state=await reschedule(request.state, report.summary()))
    if asks:
        get_run_logger().info("waits for an operator's decision: %s", _with_down(report))
        await ask(run, database, holds)
    if request.reason is StopReason.CANCELLED:
        await show_subflows(run_id, request.reason)
    if request.reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return _final(report, request.reason, verified)


async def _publish(report: Report | None, database: Database) -> None:
    """Publish the report, if there is one, and then the page of all campaigns, which links it."""
    if report:
        await publish_report(report, database)
    await refresh_campaigns(database)


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines side by side to their ends; then raises the first error, if any."""
    for end in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end


def _with_down(report: Report) -> str:
    """The report's summary, and why connections are down."""
    return report.summary() + "".join(
        f"; {name} is down: {why}" for name, why in report.down.items()
    )


def _final(
    report: Report, reason: StopReason | None, verified: accounts.Verification
) -> State[Any]:
    """The state of a run that does not continue."""
    summary = report.summary()
    if reason is StopReason.CANCELLED:
        return Cancelled(message=summary)
    if reason is StopReason.TERMINATED:
        return Crashed(message=f"stopped by SIGTERM: {summary}. Retry this run to continue")
    summary = _with_down(report)
    if not verified.is_conserved:
        return Failed(message=f"{summary}. The numbers do not add up: {verified.summary()}")
    if report.held and report.open:
        return Failed(message=f"{summary}. {'; '.join(report.held)}. {DECIDE}")
    if report.open:
        return Failed(message=f"{summary}. Retry this run to continue")
    return Completed(message=summary, data=report)


def _verified(database: Database, campaign: str) -> accounts.Verification:
    # Addresses cannot become duplicates after the launch, and deliveries come later.
    tally = accounts.tally(database, campaign, complete=False)
    return accounts.verify(tally, at_end_of_run=True)
