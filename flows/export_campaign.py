"""The flow that exports a campaign's recipients to a file."""

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
    """Export every recipient of a campaign, with its outcome, to a CSV or Parquet file.

    The file appears under its name when it is complete. Returns the number of rows.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
        path: The file to write, on the worker's machine; .csv or .parquet decides the format.
        contents: recipients: every recipient with its outcome, its mailbox provider and its
            Message-ID. rejects: the rows of the source that are not in the audience, and why.
        statuses: Export only recipients in these states, for example the uncertain ones, to look
            them up at the provider. Left empty: all.
        overwrite: Replace an existing file.
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
