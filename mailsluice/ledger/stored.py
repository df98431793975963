"""A campaign as it is stored, for those who have its name alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from pydantic import ValidationError

from mailsluice.campaign import Campaign
from mailsluice.ledger.errors import LedgerError
from mailsluice.outbox import Campaigns, Database
from mailsluice.outbox.archives import Archives
from mailsluice.outbox.schema import campaigns
from mailsluice.sending import CampaignRun


def stored_content(database: Database, name: str) -> dict[str, Any]:
    """What makes the campaign this campaign; see `mailsluice.launch.content`.

    Raises LedgerError where there is no campaign of this name.
    """
    with database.read() as connection:
        query = sa.select(campaigns.c.content).where(campaigns.c.name == name)
        found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise LedgerError(f"there is no campaign {name!r} in this database: check its name")
    content: dict[str, Any] = orjson.loads(found)
    return content


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

    What a dead run left in doubt is settled first, by its journal. Raises LedgerError where there
    is no such campaign or it is archived, CampaignBusyError where a run is sending it.
    """
    content = await asyncio.to_thread(stored_content, database, name)
    run = await asyncio.to_thread(
        CampaignRun, database, _campaign(name, content), content, owner=owner, home=home
    )
    try:
        # As its holder: from here on nobody archives it.
        await asyncio.to_thread(refuse_archived, database, name)
        yield run
    finally:
        await run.close()


def _campaign(name: str, content: dict[str, Any]) -> Campaign:
    document = {key: value for key, value in content.items() if key != "attachments"}
    try:
        return Campaign.model_validate({"name": name, **document})
    except ValidationError as error:
        raise LedgerError(
            f"campaign {name!r} was stored by another version of Mailsluice, and this one cannot "
            f"read it ({error.error_count()} fields): use that version"
        ) from None
