"""The flow that checks that every recipient of a campaign is accounted for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.support.operation import operation, state_database
from mailsluice.operations import accounts
from tasks.verification import publish_verification

CampaignName = Annotated[str, Field(min_length=1, max_length=200)]


@operation("verify-campaign", run_name="verify {campaign}")
async def verify_campaign(campaign: CampaignName) -> State[Any]:
    """Check that no recipient of a campaign is lost or present twice.

    The run ends Completed where the numbers add up, or Failed with what is wrong; both ways a page
    under Artifacts shows the numbers. This changes nothing, so you may run it at any time. Returns
    the `Verification`.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    async with state_database() as database:
        tally = await asyncio.to_thread(accounts.tally, database, campaign)
    verification = accounts.verify(tally)
    await publish_verification(verification)
    final = Completed if verification.is_conserved else Failed
    return final(message=verification.summary(), data=verification)
