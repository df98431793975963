"""The tasks that put old campaigns away, and show what was done."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from threading import Event

from prefect import get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE

from mailsluice.operations.housekeeping import Kept, keep_house
from mailsluice.store import Database

_LONGEST_PAUSE_SECONDS = 1.0


class _StoppedError(Exception):
    """The run is cancelled."""


class _Unhurried:
    """Lets others at the database for as long as each piece of work took, until it is stopped."""

    def __init__(self, stopped: Event) -> None:
        self._stopped = stopped
        self._since = time.monotonic()

    def __call__(self) -> None:
        took = time.monotonic() - self._since
        if self._stopped.wait(min(took, _LONGEST_PAUSE_SECONDS)):
            raise _StoppedError
        self._since = time.monotonic()


@task(
    name="archive-campaigns",
    task_run_name="Put old campaigns into files",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def archive_campaigns(
    database: Database, keep_days: int, folder: Path | None, owner: str
) -> Kept:
    """Archive what is old enough; see `mailsluice.operations.housekeeping.keep_house`."""
    stopped = Event()
    try:
        return await asyncio.to_thread(
            keep_house,
            database,
            keep_days=keep_days,
            folder=folder,
            owner=owner,
            goes_on=_Unhurried(stopped),
        )
    finally:  # where the run is cancelled the process waits for its threads
        stopped.set()


@task(
    name="publish-housekeeping",
    task_run_name="Write what was done",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_kept(kept: Kept) -> None:
    """Log it, and write it as a markdown artifact; one key, so that its history is the house's."""
    get_run_logger().info("%s", kept.summary())
    await acreate_markdown_artifact(
        key="housekeeping", markdown=kept.markdown(), description=kept.summary()
    )
