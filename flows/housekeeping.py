"""The flow that puts old campaigns away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from mailsluice.operations.housekeeping import Kept
from mailsluice.store import Database
from tasks.housekeeping import archive_campaigns, publish_kept


@labelled
@flow(name="housekeeping", flow_run_name="housekeeping", persist_result=False)
async def housekeeping(
    keep_days: Annotated[int, Field(ge=30, le=36_500)] = 400, archive_folder: str = ""
) -> State[Any]:
    """Put campaigns that ended long ago into Parquet files, and delete their recipients.

    Without a folder nothing is changed: the page under Artifacts says what would be. What is
    deleted is in the files, which are read back before. The campaigns themselves stay, so none is
    sent again. Made for a nightly schedule; a run that is stopped is gone on with by the next.
    Returns `Kept`.

    Args:
        keep_days: Campaigns that ended (completed or cancelled) more days ago are archived.
        archive_folder: A folder that exists where the worker runs; each campaign gets one of its
            own in it. Left empty: only a plan is made.
    """
    try:
        kept = await _kept(keep_days, archive_folder.strip())
    except TROUBLE as error:
        return failed(error, "The next run continues")
    final = Failed if kept.troubled else Completed
    return final(message=kept.summary(), data=kept)


async def _kept(keep_days: int, archive_folder: str) -> Kept:
    folder = Path(archive_folder) if archive_folder else None
    database = await asyncio.to_thread(Database)
    try:
        owner = f"{flow_run.get_name()} ({flow_run.get_id()})"
        kept = await archive_campaigns(database, keep_days, folder, owner)
        await publish_kept(kept)
        return kept
    finally:
        await asyncio.to_thread(database.close)
