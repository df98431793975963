"""The results of seed tests: the `seed_results` table."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.schema import seed_results
from mailsluice.store.seed_copy import SeedCopy, StoredSeed


class Seeds:
    """The `seed_results` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, campaign: str, copies: Sequence[SeedCopy]) -> None:
        """Store the copies of a test, with one moment for all of them."""
        if not copies:
            return
        with self._database.write() as transaction:
            at = transaction.execute(sa.select(self._database.now)).scalar_one()
            rows = [{"at": at, "campaign": campaign, **copy._asdict()} for copy in copies]
            transaction.execute(sa.insert(seed_results), rows)

    def since(self, connections: Sequence[str], seconds: float) -> list[StoredSeed]:
        """Return the copies over these connections of so many seconds, the oldest first."""
        columns = seed_results.c
        query = (
            sa.select(*(columns[name] for name in StoredSeed._fields))
            .where(
                columns.connection.in_(connections),
                columns.at > self._database.now - seconds,
            )
            .order_by(columns.at, columns.id)
        )
        with self._database.read() as connection:
            return [StoredSeed(*row) for row in connection.execute(query)]

    def forget(self, before: float, limit: int = 10_000) -> int:
        """Delete copies of tests before a moment, up to a limit. Returns how many."""
        old = sa.select(seed_results.c.id).where(seed_results.c.at < before).limit(limit)
        with self._database.write() as transaction:
            delete = sa.delete(seed_results).where(seed_results.c.id.in_(old))
            return transaction.execute(delete).rowcount
