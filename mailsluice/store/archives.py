"""Where the recipients of archived campaigns are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.store.database import Database
from mailsluice.store.schema import archives


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """One row of `archives`."""

    folder: str
    """Where its files are, as the worker that wrote them sees it."""
    digest: str
    """SHA-256 of the manifest in it."""
    counts: Mapping[str, Mapping[RecipientStatus, int]]
    """Its recipients by connection and status."""
    at: float
    """When it was written, in seconds since the epoch."""
    is_cleared: bool
    """Whether the rows that are in it are deleted."""

    def __str__(self) -> str:
        day = datetime.fromtimestamp(self.at, UTC).date()
        return f"archived on {day}: its recipients are in {self.folder} on the worker's machine"


class Archives:
    """The table `archives`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, campaign_id: int) -> ArchiveRecord | None:
        """The campaign's archive, if it has one."""
        query = sa.select(archives).where(archives.c.campaign_id == campaign_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        counts = {
            name: {RecipientStatus(status): number for status, number in by_status.items()}
            for name, by_status in orjson.loads(row.counts).items()
        }
        return ArchiveRecord(row.folder, row.digest, counts, row.at, row.cleared_at is not None)

    def add(
        self, campaign_id: int, folder: str, digest: str, counts: Mapping[str, Mapping[str, int]]
    ) -> None:
        """From here on the campaign is archived: its rows are what is in the folder.

        `counts` are its recipients by connection and status.
        """
        statement = sa.insert(archives).values(
            campaign_id=campaign_id,
            folder=folder,
            digest=digest,
            counts=orjson.dumps(counts).decode(),
            at=self._database.now,
        )
        with self._database.write() as transaction:
            transaction.execute(statement)

    def cleared(self, campaign_id: int) -> None:
        """All rows that are in the folder are deleted."""
        statement = sa.update(archives).where(archives.c.campaign_id == campaign_id)
        with self._database.write() as transaction:
            transaction.execute(statement.values(cleared_at=self._database.now))
