"""Counting a campaign's rows by the campaign's name."""

from __future__ import annotations

from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.reports.verification import Tallies
from mailsluice.reports.verification.queries import count_campaign
from mailsluice.store import Campaigns, Database


def tally(database: Database, name: str, *, complete: bool = True) -> Tallies:
    """Count a campaign's rows; see `count_campaign`.

    Raises:
        OutboxError: There is no such campaign.
        LedgerError: The campaign is archived.
    """
    record = Campaigns(database).get(name)
    refuse_archived(database, name)
    return count_campaign(database, record, complete=complete)
