"""Packing the tables of ended campaigns, on PostgreSQL.

While a campaign is sent, its table needs room for updates on every page, and an index that finds
the next recipients of a connection. An ended campaign needs neither: packed, a recipient takes less
than two thirds of the space. Nobody can read the campaign while its table is written again, for
seconds a million recipients.
"""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns

_ENDED = (CampaignStatus.COMPLETED.value, CampaignStatus.CANCELLED.value)


def unpacked(database: Database) -> set[int]:
    """Ended campaigns with tables of their own that are not packed."""
    if database.is_sqlite:
        return set()
    name = sa.literal("ix_recipients_claim_") + sa.cast(campaigns.c.id, sa.Text)
    query = sa.select(campaigns.c.id).where(
        campaigns.c.first_recipient_id.is_not(None),
        campaigns.c.status.in_(_ENDED),
        sa.func.to_regclass(name).is_not(None),
    )
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def pack(database: Database, campaign_id: int) -> None:
    """Pack the tables of an ended campaign. The caller holds the campaign's lease.

    A statement of another process that reads the tables for longer than a second makes this fail,
    since others would queue behind both.
    """
    with database.write() as transaction:
        transaction.execute(sa.select(sa.func.mailsluice_pack_tables(campaign_id)))


def index_claims(transaction: sa.Connection, campaign_id: int) -> None:
    """Restore the index for claims in a campaign's own tables, which are sent from again."""
    transaction.execute(sa.select(sa.func.mailsluice_index_claims(campaign_id)))
