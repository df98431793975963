"""A campaign as it is stored, for those who have its name alone."""

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
    """Raise LedgerError where the campaign's recipients are in files, and no more in the database.

    Raises OutboxError where there is no such campaign.
    """
    if archive := Archives(database).find(Campaigns(database).get(name).id):
        raise LedgerError(f"campaign {name!r} was {archive}, and no more in the database")


@asynccontextmanager
async def held(
    database: Database, name: str, *, owner: str, home: Path
) -> AsyncIterator[CampaignRun]:
    """Hold a campaign as a run does, without sending: nobody else changes it meanwhile.

    What a dead run left in doubt is settled first, by its journal. Raises OutboxError where there
    is no such campaign, LedgerError where it is archived, CampaignBusyError where a run is sending
    it.
    """
    record = await asyncio.to_thread(Campaigns(database).get, name)
    # Its name and the policies of every campaign: what it sends to whom is not looked at.
    campaign = Campaign.model_construct(name=record.name)  # type: ignore[call-arg]
    run = await asyncio.to_thread(CampaignRun, database, campaign, None, owner=owner, home=home)
    try:
        # As its holder: from here on nobody archives it.
        await asyncio.to_thread(refuse_archived, database, name)
        yield run
    finally:
        await run.close()
