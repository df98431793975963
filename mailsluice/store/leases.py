"""The lease of a campaign: which run may send it, and until when."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from mailsluice.core.errors import CampaignBusyError
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns

LEASE_SECONDS = 45.0
"""A run that has not renewed its lease for this long is dead; it renews three times as often."""

AGREE_SECONDS = 5.0
"""The largest difference between the database's clock and this machine's at which this machine
believes the expiry that a lease states."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A campaign's lease as read at one moment. Times are seconds of the database's clock."""

    owner: str | None
    until: float
    now: float


class Leases:
    """The columns of `campaigns` that say which run sends a campaign."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(
        self,
        campaign_id: int,
        owner: str,
        *,
        dead_owner: str | None = None,
        when_run_out: bool = True,
    ) -> None:
        """Make this run the only one that sends the campaign, for LEASE_SECONDS.

        Args:
            campaign_id: The campaign's row.
            owner: The run that acquires the lease.
            dead_owner: An owner known to be gone, whatever its lease says.
            when_run_out: Whether a lease that has expired by the database's clock is free.

        Raises:
            CampaignBusyError: Another run holds the lease.
        """
        now = self._database.now
        free = sa.or_(
            campaigns.c.owner.is_(None),
            campaigns.c.owner.in_([owner, *([dead_owner] if dead_owner else [])]),
            sa.and_(sa.literal(when_run_out), campaigns.c.lease_until < now),
        )
        acquire = (
            sa.update(campaigns)
            .where(campaigns.c.id == campaign_id, free)
            .values(owner=owner, lease_until=now + LEASE_SECONDS)
        )
        with self._database.write() as transaction:
            if not transaction.execute(acquire).rowcount:
                raise _busy(transaction, campaign_id)

    def renew(self, campaign_id: int, owner: str) -> None:
        """Extend the lease. Raises CampaignBusyError when another run has taken it over."""
        with self._database.write() as transaction:
            if not self._extend(transaction, campaign_id, owner):
                raise _busy(transaction, campaign_id)

    def keep(self, transaction: sa.Connection, campaign_id: int, owner: str) -> bool:
        """Whether this run holds the lease; no other run can take it until the transaction ends."""
        if not self._database.is_sqlite:
            return self._extend(transaction, campaign_id, owner)
        # On SQLite a transaction that writes excludes all others, so reading is enough. An update
        # would rewrite the whole row, with the message's text in it.
        query = sa.select(campaigns.c.owner).where(campaigns.c.id == campaign_id)
        return bool(transaction.execute(query).scalar_one_or_none() == owner)

    def _extend(self, transaction: sa.Connection, campaign_id: int, owner: str) -> bool:
        extended = transaction.execute(
            sa.update(campaigns)
            .where(campaigns.c.id == campaign_id, campaigns.c.owner == owner)
            .values(lease_until=self._database.now + LEASE_SECONDS)
        )
        return bool(extended.rowcount)

    def read(self, campaign_id: int) -> LeaseRecord:
        """The lease's owner and expiry, with the time at which they were read."""
        query = sa.select(
            campaigns.c.owner,
            sa.func.coalesce(campaigns.c.lease_until, 0.0),
            self._database.now,
        ).where(campaigns.c.id == campaign_id)
        with self._database.read() as connection:
            return LeaseRecord(*connection.execute(query).one())

    def is_held(self, connection: sa.Connection, campaign_id: int) -> bool:
        """Whether some run holds the lease, by the database's clock."""
        unexpired = sa.func.coalesce(campaigns.c.lease_until > self._database.now, sa.false())
        query = sa.select(unexpired).where(campaigns.c.id == campaign_id)
        return bool(connection.execute(query).scalar_one())

    def release(self, campaign_id: int, owner: str) -> None:
        """Give the lease back, so that another run can acquire it at once."""
        with self._database.write() as transaction:
            transaction.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == campaign_id, campaigns.c.owner == owner)
                .values(owner=None, lease_until=None)
            )


def _busy(transaction: sa.Connection, campaign_id: int) -> CampaignBusyError:
    query = sa.select(campaigns.c.name, campaigns.c.owner).where(campaigns.c.id == campaign_id)
    holder = transaction.execute(query).one()
    return CampaignBusyError(holder.name, holder.owner or "nobody")
