"""The flow that ends a campaign for good."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from flows.verify_campaign import CampaignName
from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.status import CampaignStatus
from mailsluice.operations import accounts
from mailsluice.store import Database, home


@labelled
@flow(name="cancel-campaign", flow_run_name="cancel {campaign}", persist_result=False)
async def cancel_campaign(campaign: CampaignName) -> State[Any]:
    """Cancel a campaign that no run is sending: who has not got it will not get it.

    Cancelled is final. A run that is sending is cancelled in the Prefect UI, which does the same.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    try:
        return _final(campaign, await _cancel(campaign))
    except CampaignBusyError as error:
        return Failed(
            message=f"campaign {campaign!r} is being sent by run {error.owner!r}: press Cancel on"
            " that run, which cancels the campaign",
            data=error,
        )
    except TROUBLE as error:
        return failed(error)


async def _cancel(campaign: str) -> accounts.Cancelled:
    database = await asyncio.to_thread(Database)
    try:
        owner = f"{flow_run.get_name()} ({flow_run.get_id()})"
        return await accounts.cancel_campaign(database, campaign, owner=owner, home=home())
    finally:
        await asyncio.to_thread(database.close)


def _final(campaign: str, done: accounts.Cancelled) -> State[Any]:
    if done.before is CampaignStatus.COMPLETED:
        return Completed(message=f"nothing to cancel: {campaign!r} was completed before", data=done)
    return Completed(
        message=f"cancelled: {done.sent:,} of {done.accepted:,} had been sent,"
        f" {done.cancelled:,} do not get it",
        data=done,
    )
