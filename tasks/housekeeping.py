"""The tasks that archive old campaigns and publish what was done."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from threading import Event

from prefect import get_run_logger, task

from mailsluice.operations.housekeeping import Kept, keep_house
from mailsluice.store import Database
from tasks.publishing import UNSTORED, publish

_LONGEST_PAUSE_SECONDS = 1.0


class _StoppedError(Exception):
    """The run is cancelled."""


class _Pauses:
    """Called between two pieces of work: pauses as long as the last piece took.

    The pauses leave the database to runs that send. Raises _StoppedError once `stopped` is set.
    """

    def __init__(self, stopped: Event) -> None:
        self._stopped = stopped
        self._since = time.monotonic()

    def __call__(self) -> None:
        took = time.monotonic() - self._since
        if self._stopped.wait(min(took, _LONGEST_PAUSE_SECONDS)):
            raise _StoppedError
        self._since = time.monotonic()


@task(name="archive-campaigns", task_run_name="Archive old campaigns", **UNSTORED)
async def archive_campaigns(
    database: Database, keep_days: int, folder: Path | None, owner: str
) -> Kept:
    """Archive the campaigns that are old enough; see `keep_house`."""
    stopped = Event()
    try:
        return await asyncio.to_thread(
            keep_house,
            database,
            keep_days=keep_days,
            folder=folder,
            owner=owner,
            goes_on=_Pauses(stopped),
        )
    finally:  # a cancelled process waits for its threads
        stopped.set()


@task(name="publish-housekeeping", task_run_name="Publish what was done", **UNSTORED)
async def publish_kept(kept: Kept) -> None:
    """Log what was done and publish its page; all runs have one key."""
    get_run_logger().info("%s", kept.summary())
    await publish("housekeeping", page=kept.markdown(), summary=kept.summary())
