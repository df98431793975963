"""Cancelling a campaign."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.operations.accounts.stored import held
from mailsluice.store import Database, Launches


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The numbers of a cancelled campaign."""

    accepted: int
    sent: int
    cancelled: int
    """Recipients that will not get the mail."""
    before: CampaignStatus
    """The campaign's status before."""


async def cancel_campaign(database: Database, name: str, *, owner: str, home: Path) -> Cancelled:
    """Cancel a campaign for good: its waiting recipients get no mail, and no run sends it again.

    In a completed campaign no recipient waits, so it stays completed.

    Args:
        database: The state database.
        name: The campaign's name.
        owner: The name of this call, for runs that it keeps from sending meanwhile.
        home: The folder of the journals.

    Raises:
        OutboxError: There is no such campaign.
        LedgerError: The campaign is archived.
        CampaignBusyError: A run is sending the campaign.
    """
    async with held(database, name, owner=owner, home=home) as run:
        before = run.record.status
        if before is CampaignStatus.RESOLVING:  # rows of an interrupted launch are not an audience
            await asyncio.to_thread(Launches(database).store_audience, run.id, [], [])
        if before is not CampaignStatus.COMPLETED:
            await asyncio.to_thread(run.cancel)
        counts = await asyncio.to_thread(run.outbox.counts)
        return Cancelled(
            accepted=counts.accepted,
            sent=counts.of(RecipientStatus.SENT),
            cancelled=counts.of(RecipientStatus.CANCELLED),
            before=before,
        )
