"""Archived campaigns and the folders of their archives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.store.campaign_age import CampaignAge
from mailsluice.store.database import Database
from mailsluice.store.schema import archives, campaigns


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One row of `archives`."""

    folder: str
    """The folder of the files, on the machine of the worker that wrote them."""
    digest: str
    """SHA-256 of the manifest in the folder."""
    counts: Mapping[str, Mapping[RecipientStatus, int]]
    """Recipients by connection and status."""
    at: float
    """When the archive was written, in seconds since the epoch."""
    is_cleared: bool
    """Whether the archived rows are deleted from the database."""
    providers: str | None
    """What became of the mail to each mailbox provider, in JSON; None when it was not counted."""

    def __str__(self) -> str:
        day = datetime.fromtimestamp(self.at, UTC).date()
        return f"archived on {day}: its recipients are in {self.folder} on the worker's machine"


class Archives:
    """The `archives` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, campaign_id: int) -> ArchiveRecord | None:
        """The campaign's archive, or None."""
        query = sa.select(archives).where(archives.c.campaign_id == campaign_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        counts = {
            name: {RecipientStatus(status): number for status, number in by_status.items()}
            for name, by_status in orjson.loads(row.counts).items()
        }
        return ArchiveRecord(
            row.folder, row.digest, counts, row.at, row.cleared_at is not None, row.providers
        )

    def among(self, campaign_ids: Collection[int]) -> set[int]:
        """Return those of these campaigns that are archived."""
        if not campaign_ids:
            return set()
        query = sa.select(archives.c.campaign_id).where(archives.c.campaign_id.in_(campaign_ids))
        with self._database.read() as connection:
            return {*connection.execute(query).scalars()}

    def add(
        self,
        campaign_id: int,
        folder: str,
        digest: str,
        counts: Mapping[str, Mapping[str, int]],
        providers: str | None = None,
    ) -> None:
        """Record that the campaign is archived: from now on the files in the folder are its rows.

        `counts` are the recipients by connection and status, `providers` are in JSON.
        """
        statement = sa.insert(archives).values(
            campaign_id=campaign_id,
            folder=folder,
            digest=digest,
            counts=orjson.dumps(counts).decode(),
            providers=providers,
            at=self._database.now,
        )
        with self._database.write() as transaction:
            transaction.execute(statement)

    def cleared(self, campaign_id: int) -> None:
        """Record that all archived rows are deleted from the database."""
        statement = sa.update(archives).where(archives.c.campaign_id == campaign_id)
        with self._database.write() as transaction:
            transaction.execute(statement.values(cleared_at=self._database.now))

    def campaign_ages(self) -> Iterator[CampaignAge]:
        """The age of every campaign, the oldest first."""
        query = (
            sa.select(
                campaigns.c.id,
                campaigns.c.name,
                campaigns.c.status,
                campaigns.c.accepted,
                campaigns.c.created_at,
                campaigns.c.ended_at,
                archives.c.campaign_id.is_not(None).label("is_archived"),
                archives.c.cleared_at.is_not(None).label("is_cleared"),
            )
            .outerjoin(archives, archives.c.campaign_id == campaigns.c.id)
            .order_by(campaigns.c.id)
        )
        with self._database.read() as connection:
            for campaign_id, name, status, *others in connection.execute(query):
                yield CampaignAge(campaign_id, name, CampaignStatus(status), *others)
