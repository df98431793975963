"""A campaign's progress for people: artifacts, log lines and events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from prefect import get_run_logger
from prefect.runtime import flow_run

from flows.support.progress.artifacts import ProgressArtifacts
from flows.support.progress.event_emitter import EventEmitter
from flows.support.progress.reporter import ProgressReporter
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.beside import beside
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun

__all__ = ["ProgressReporter", "progress_shown"]

_LOOK_SECONDS = 5.0


@asynccontextmanager
async def progress_shown(
    run: CampaignRun, window: SendingWindow, publish_list: Callable[[], Awaitable[None]]
) -> AsyncIterator[ProgressReporter]:
    """Show the progress every five seconds while the `with` block runs, in one task.

    The caller calls `ProgressReporter.conclude` when the outcome is known. `publish_list` publishes
    the page of all campaigns.
    """
    name = run.record.name
    artifacts, log = ProgressArtifacts(UUID(flow_run.get_id()), name), get_run_logger().info
    reporter = ProgressReporter(
        run, window, artifacts, EventEmitter(name), log=log, publish_list=publish_list
    )
    await reporter.begin(is_new=run.record.status is CampaignStatus.RESOLVING)
    async with beside(_watch(reporter)):
        try:
            yield reporter
        except Exception:
            await reporter.update()  # the last progress, since `conclude` is not called
            raise


async def _watch(reporter: ProgressReporter) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await reporter.update()
