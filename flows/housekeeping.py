"""The flow that archives old campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.support.operation import operation, run_owner, state_database
from tasks.housekeeping import archive_campaigns, publish_kept

_NEXT_RUN = "The next run continues"


@operation("housekeeping", run_name="housekeeping", then=_NEXT_RUN)
async def housekeeping(
    keep_days: Annotated[int, Field(ge=30, le=36_500)] = 400, archive_folder: str = ""
) -> State[Any]:
    """Archive campaigns that ended long ago to Parquet files, and delete their recipients.

    Without a folder nothing is changed, and the page under Artifacts lists what would be archived.
    Rows are deleted only after the files that contain them were read back. The campaigns themselves
    stay, so none is sent again. On PostgreSQL, large campaigns that ended more than a day ago are
    packed, to take less room. Run it on a nightly schedule; a run that is stopped is continued by
    the next one. Returns `Kept`.

    Args:
        keep_days: Archive campaigns that ended (completed or cancelled) more days ago.
        archive_folder: An existing folder on the worker's machine; each campaign gets a folder in
            it. Left empty: only a plan is made.
    """
    folder = Path(archive_folder.strip()) if archive_folder.strip() else None
    async with state_database() as database:
        kept = await archive_campaigns(database, keep_days, folder, run_owner())
        await publish_kept(kept)
    final = Failed if kept.troubled else Completed
    return final(message=kept.summary(), data=kept)
