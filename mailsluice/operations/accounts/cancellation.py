"""Ending a campaign for good."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.operations.accounts.stored import held
from mailsluice.store import Database, Launches


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancelled campaign left undone."""

    accepted: int
    sent: int
    cancelled: int
    """Recipients who do not get it any more."""
    before: CampaignStatus
    """Where the campaign stood."""


async def cancel_campaign(database: Database, name: str, *, owner: str, home: Path) -> Cancelled:
    """Cancel a campaign: who waits for his mail does not get it, and no run sends it again.

    A completed one has nobody who waits, and stays completed. `owner` names who does it, for those
    it keeps out meanwhile; `home` is where the journals are. Raises LedgerError where there is no
    such campaign, CampaignBusyError where a run is sending it.
    """
    async with held(database, name, owner=owner, home=home) as run:
        before = run.record.status
        if before is CampaignStatus.RESOLVING:  # what a dead launch has stored is no audience
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
