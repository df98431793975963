"""Progress of a campaign as people see it: artifacts, lines in the log, events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from prefect import get_run_logger
from prefect.runtime import flow_run

from flows.progress.board import Board
from flows.progress.keeper import Keeper
from flows.progress.story import EventEmitter
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun

__all__ = ["Keeper", "progress_shown"]

_LOOK_SECONDS = 5.0


@asynccontextmanager
async def progress_shown(run: CampaignRun, window: SendingWindow) -> AsyncIterator[Keeper]:
    """Look every five seconds while the `with` block runs; one task, whatever is sent.

    Whoever is inside calls `Keeper.conclude` when the outcome is known.
    """
    name = run.record.name
    board, log = Board(UUID(flow_run.get_id()), name), get_run_logger().info
    keeper = Keeper(run, window, board, EventEmitter(name), log=log)
    await keeper.begin(is_new=run.record.status is CampaignStatus.RESOLVING)
    watching = asyncio.ensure_future(_watch(keeper))
    try:
        yield keeper
    except Exception:
        await keeper.look()  # where it stopped: nobody will come to a conclusion
        raise
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(keeper: Keeper) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await keeper.look()
