"""The flow that checks whether everybody of a campaign is accounted for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from mailsluice.operations import accounts
from mailsluice.store import Database
from tasks.verification import publish_verification

CampaignName = Annotated[str, Field(min_length=1, max_length=200)]


@labelled
@flow(name="verify-campaign", flow_run_name="verify {campaign}", persist_result=False)
async def verify_campaign(campaign: CampaignName) -> State[Any]:
    """Check that nobody of a campaign is lost and nobody is there twice.

    Ends Completed where its numbers add up, Failed with what is wrong where they do not; either way
    with a page that shows both. Changes nothing, so it may be run at any time. Returns the
    `Verification`.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    try:
        verification = await asyncio.to_thread(_verify, campaign)
    except TROUBLE as error:
        return failed(error)
    await publish_verification(verification)
    final = Completed if verification.is_conserved else Failed
    return final(message=verification.summary(), data=verification)


def _verify(campaign: str) -> accounts.Verification:
    with Database() as database:
        return accounts.verify(accounts.tally(database, campaign))
