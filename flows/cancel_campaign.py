"""The flow that ends a campaign for good."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.support.operation import operation, run_owner, state_database
from flows.verify_campaign import CampaignName
from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.status import CampaignStatus
from mailsluice.operations import accounts
from mailsluice.store import home
from tasks.campaigns import refresh_campaigns


@operation("cancel-campaign", run_name="cancel {campaign}")
async def cancel_campaign(campaign: CampaignName) -> State[Any]:
    """Cancel a campaign that no run is sending: its remaining recipients get no mail.

    A cancelled campaign cannot be resumed. To cancel a campaign that a run is sending, cancel that
    run in the Prefect UI.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
    """
    try:
        async with state_database() as database:
            done = await accounts.cancel_campaign(
                database, campaign, owner=run_owner(), home=home()
            )
            await refresh_campaigns(database)
        return _final(campaign, done)
    except CampaignBusyError as error:
        return Failed(
            message=f"campaign {campaign!r} is being sent by run {error.owner!r}: press Cancel on"
            " that run, which cancels the campaign",
            data=error,
        )


def _final(campaign: str, done: accounts.Cancelled) -> State[Any]:
    if done.before is CampaignStatus.COMPLETED:
        return Completed(message=f"nothing to cancel: {campaign!r} was completed before", data=done)
    return Completed(
        message=f"cancelled: {done.sent:,} of {done.accepted:,} had been sent,"
        f" {done.cancelled:,} recipients get no mail",
        data=done,
    )
