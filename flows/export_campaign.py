"""The flow that writes down who got a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.support.operation import operation, state_database
from flows.verify_campaign import CampaignName
from mailsluice.core.status import RecipientStatus
from mailsluice.operations import accounts


@operation("export-campaign", run_name="export {campaign}")
async def export_campaign(
    campaign: CampaignName,
    path: Annotated[str, Field(min_length=1)],
    contents: accounts.Contents = accounts.Contents.RECIPIENTS,
    statuses: Sequence[RecipientStatus] = (),
    overwrite: bool = False,
) -> State[Any]:
    """Write every recipient of a campaign into a CSV or Parquet file, with what became of it.

    The file appears under its name when it is complete. Returns the number of its rows.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
        path: The file to write, as the worker sees it: .csv or .parquet, which says the format.
        contents: recipients: everybody with what became of it, and its Message-ID. rejects: the
            rows of the source that are not in the audience, and why.
        statuses: Only recipients in these states: uncertain, for example, to look them up at the
            provider. Left empty: all.
        overwrite: Replace the file where there is one.
    """
    async with state_database() as database:
        exported = await asyncio.to_thread(
            accounts.export,
            database,
            campaign,
            Path(path),
            contents=contents,
            statuses=statuses,
            overwrite=overwrite,
        )
    return Completed(
        message=f"{exported.rows:,} {contents.value} in {exported.path}", data=exported.rows
    )
