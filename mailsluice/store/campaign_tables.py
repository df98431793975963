"""The tables that hold the recipients and attempts of a campaign.

On PostgreSQL a large campaign has tables of its own, `recipients_<id>` and `attempts_<id>`. Its
launch loads them without a foreign key to check for each row and without an index to maintain, and
housekeeping drops them. Small campaigns share `recipients_shared` and `attempts_shared`: tables of
their own would cost them more than they save, and thousands of tables would cost everybody. All of
these tables inherit from `recipients` and `attempts`, so that one name stays for all campaigns.

This is inheritance instead of declarative partitioning, because the shared table holds any number
of campaigns. A default partition could, but then each launch would lock the small campaigns' table
exclusively and search it (ATTACH PARTITION), and no partition could be detached while others are
read (DETACH CONCURRENTLY). With INHERIT, a launch locks no table that others read or write, all of
its steps are one transaction, and DROP TABLE locks the dropped table alone.

A statement on `recipients` plans for every table and locks each of them with its indexes, even
where the CHECK constraint on the campaign then excludes the table. So statements of the store name
the tables of a campaign, by `tables_of`, and the number of tables is limited by MOST_CAMPAIGNS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus
from mailsluice.store.database import Database
from mailsluice.store.schema import attempts, campaigns, compared, recipients

FROM_RECIPIENTS = 100_000
"""Recipients from which on a campaign has tables of its own."""
MOST_CAMPAIGNS = 500
"""Campaigns that have tables of their own at one time; further ones share."""


@dataclass(frozen=True, slots=True)
class CampaignTables:
    """The tables with a campaign's recipients and attempts, and perhaps with those of others."""

    recipients: sa.Table
    attempts: sa.Table
    is_own: bool = False
    """Whether they have rows of this campaign only."""

    @property
    def compared(self) -> sa.ColumnElement[str]:
        """A recipient's address as compared with `suppressions.email` and `bounces.email`."""
        return compared(self.recipients)

    def named(self, table: sa.Table) -> sa.Table:
        """The table with this campaign's rows of a table of the schema."""
        return {recipients: self.recipients, attempts: self.attempts}.get(table, table)


def _named(table: sa.Table, suffix: str) -> sa.Table:
    columns = (sa.Column(column.name, column.type) for column in table.columns)
    return sa.Table(f"{table.name}_{suffix}", sa.MetaData(), *columns)


@lru_cache(maxsize=100)  # SQLAlchemy keeps compiled statements by table
def own_tables(campaign_id: int) -> CampaignTables:
    """The tables of a campaign that has tables of its own."""
    suffix = str(campaign_id)
    return CampaignTables(_named(recipients, suffix), _named(attempts, suffix), is_own=True)


_PARENTS = CampaignTables(recipients, attempts)  # on SQLite, the tables of all campaigns
_SHARED = CampaignTables(_named(recipients, "shared"), _named(attempts, "shared"))


def shared_tables(database: Database) -> CampaignTables:
    """The tables of all campaigns that have no tables of their own."""
    return _PARENTS if database.is_sqlite else _SHARED


def has_room(database: Database) -> bool:
    """Whether another campaign may get tables of its own."""
    query = sa.select(sa.func.count()).where(campaigns.c.first_recipient_id.is_not(None))
    with database.read() as connection:
        return connection.execute(query).scalar_one() < MOST_CAMPAIGNS


def tables_of(database: Database, campaign_id: int) -> CampaignTables:
    """The tables of a campaign as they are now."""
    return CampaignTablesFinder(database, campaign_id).tables


def tables_of_all(
    database: Database, chosen: sa.ColumnElement[bool]
) -> Iterator[tuple[CampaignTables, sa.ColumnElement[bool]]]:
    """The tables of several campaigns, with the condition that selects these campaigns' recipients.

    `chosen` is a condition on `campaigns`.
    """
    is_own = campaigns.c.first_recipient_id.is_not(None)
    shared = shared_tables(database)
    sharing = sa.select(campaigns.c.id).where(chosen, ~is_own)
    yield shared, shared.recipients.c.campaign_id.in_(sharing)
    if not database.is_sqlite:
        query = sa.select(campaigns.c.id).where(chosen, is_own).order_by(campaigns.c.id)
        with database.read() as connection:
            own = connection.execute(query).scalars().all()
        for campaign_id in own:
            tables = own_tables(campaign_id)
            yield tables, tables.recipients.c.campaign_id == campaign_id


def tables_with(database: Database, recipient_ids: Collection[int]) -> Iterator[CampaignTables]:
    """The tables that these recipients may be in: few, whatever the number of campaigns."""
    yield shared_tables(database)
    if database.is_sqlite:
        return
    query = sa.select(
        campaigns.c.id, campaigns.c.first_recipient_id, campaigns.c.last_recipient_id
    ).where(campaigns.c.first_recipient_id.is_not(None))
    with database.read() as connection:
        ranges = connection.execute(query.order_by(campaigns.c.id)).all()
    for campaign_id, first, last in ranges:
        if any(first <= recipient_id <= last for recipient_id in recipient_ids):
            yield own_tables(campaign_id)


class CampaignTablesFinder:
    """Finds the tables of one campaign; asks the database again until the campaign is launched."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._found = shared_tables(database) if database.is_sqlite else None

    @property
    def tables(self) -> CampaignTables:
        """The tables of the campaign."""
        return self._found or self._find()

    def _find(self) -> CampaignTables:
        query = sa.select(campaigns.c.status, campaigns.c.first_recipient_id).where(
            campaigns.c.id == self._campaign_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        is_own = row is not None and row.first_recipient_id is not None
        found = own_tables(self._campaign_id) if is_own else shared_tables(self._database)
        if row is not None and row.status != CampaignStatus.RESOLVING:
            self._found = found
        return found
