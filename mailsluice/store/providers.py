"""The mailbox providers of a campaign's recipients, which its launch numbers.

The number of a provider is 1 for the one with most recipients, and grows with fewer recipients.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.schema import campaign_providers


class Providers:
    """The `campaign_providers` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, campaign_id: int) -> dict[int, str]:
        """The campaign's providers by number; none for a campaign that was launched without."""
        columns = campaign_providers.c
        query = sa.select(columns.number, columns.provider)
        query = query.where(columns.campaign_id == campaign_id).order_by(columns.number)
        with self._database.read() as connection:
            return {row.number: row.provider for row in connection.execute(query)}

    def counts(self, campaign_id: int) -> dict[str, int]:
        """The recipients of each provider at the launch, the provider with most of them first."""
        columns = campaign_providers.c
        query = sa.select(columns.provider, columns.recipients)
        query = query.where(columns.campaign_id == campaign_id).order_by(columns.number)
        with self._database.read() as connection:
            return {row.provider: row.recipients for row in connection.execute(query)}

    def record(self, campaign_id: int, providers: Mapping[str, int]) -> None:
        """Number a campaign's providers; see `record_providers`."""
        with self._database.write() as transaction:
            record_providers(transaction, campaign_id, providers)


def record_providers(
    transaction: sa.Connection, campaign_id: int, providers: Mapping[str, int]
) -> None:
    """Number a campaign's providers in the order given, with the recipients of each."""
    rows = [
        {"campaign_id": campaign_id, "number": number, "provider": name, "recipients": recipients}
        for number, (name, recipients) in enumerate(providers.items(), start=1)
    ]
    if rows:
        transaction.execute(sa.insert(campaign_providers), rows)
