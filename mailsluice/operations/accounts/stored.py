"""Hold the lease of a stored campaign while it is changed; refuse an archived campaign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.store import Campaigns, Database
from mailsluice.store.archives import Archives


def refuse_archived(database: Database, name: str) -> None:
    """Raise LedgerError when the campaign's recipients are in files instead of the database.

    Raises OutboxError when there is no such campaign.
    """
    if archive := Archives(database).find(Campaigns(database).get(name).id):
        raise LedgerError(f"campaign {name!r} was {archive}, no longer in the database")


@asynccontextmanager
async def held(
    database: Database, name: str, *, owner: str, home: Path
) -> AsyncIterator[CampaignRun]:
    """Hold a campaign's lease without sending, so that no other process changes the campaign.

    Recipients that a dead run left `sending` are settled first, by the run's journal.

    Raises:
        OutboxError: There is no such campaign.
        LedgerError: The campaign is archived.
        CampaignBusyError: A run is sending the campaign.
    """
    record = await asyncio.to_thread(Campaigns(database).get, name)
    # The name and the default policies are enough: the message and the routes are not used.
    campaign = Campaign.model_construct(name=record.name)  # type: ignore[call-arg]
    run = await asyncio.to_thread(CampaignRun, database, campaign, None, owner=owner, home=home)
    try:
        # Checked under the lease, which keeps housekeeping from archiving the campaign now.
        await asyncio.to_thread(refuse_archived, database, name)
        yield run
    finally:
        await run.close()
