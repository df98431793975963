"""The pool: recipients of a campaign with the strategy `throughput` that nobody has claimed yet.

Their rows have the connection UNCLAIMED. A claim sets the connection, in the transaction that makes
the row `sending`; a recipient that is given back before any attempt returns to the pool.
"""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.campaign.policies import Strategy
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns


def is_pooled(database: Database, campaign_id: int) -> bool:
    """Whether a campaign's connections claim from a pool, by the content that is stored."""
    stored = campaigns.c.content
    content = stored if database.is_sqlite else sa.cast(stored, sa.JSON())
    strategy = content.op("->>")("strategy")
    query = sa.select(strategy).where(campaigns.c.id == campaign_id)
    with database.read() as reader:
        return bool(reader.execute(query).scalar_one_or_none() == Strategy.THROUGHPUT)
