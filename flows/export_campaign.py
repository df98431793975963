"""The flow that writes down who got a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from flows.verify_campaign import CampaignName
from mailsluice.core.status import RecipientStatus
from mailsluice.operations import accounts
from mailsluice.store import Database

if TYPE_CHECKING:
    from mailsluice.core.table_file import WrittenTable


@labelled
@flow(name="export-campaign", flow_run_name="export {campaign}", persist_result=False)
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
    try:
        exported = await asyncio.to_thread(_export, campaign, path, contents, statuses, overwrite)
    except TROUBLE as error:
        return failed(error)
    return Completed(
        message=f"{exported.rows:,} {contents.value} in {exported.path}", data=exported.rows
    )


def _export(
    campaign: str,
    path: str,
    contents: accounts.Contents,
    statuses: Sequence[RecipientStatus],
    overwrite: bool,
) -> WrittenTable:
    with Database() as database:
        return accounts.export(
            database,
            campaign,
            Path(path).expanduser(),
            contents=contents,
            statuses=statuses,
            overwrite=overwrite,
        )
