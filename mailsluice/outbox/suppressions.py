"""Addresses that get no mail, whatever the campaign."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import sqlalchemy as sa

from mailsluice.outbox.database import Database
from mailsluice.outbox.schema import suppressions

_LOOKUP_ROWS = 10_000


class Suppressions:
    """The `suppressions` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, emails: Iterable[str], *, reason: str, source: str) -> int:
        """Suppress normalised addresses; those on the list keep their first reason.

        Returns how many are new.
        """
        insert = self._database.insert_ignoring(suppressions)
        rows = [{"email": email, "reason": reason, "source": source} for email in emails]
        if not rows:
            return 0
        with self._database.write() as connection:
            count = sa.select(sa.func.count()).select_from(suppressions)
            before = connection.execute(count).scalar_one()
            connection.execute(insert.values(created_at=self._database.now), rows)
            return int(connection.execute(count).scalar_one() - before)

    def mask(self, emails: pd.Series[str]) -> pd.Series[bool]:
        """Which of these normalised addresses are suppressed."""
        found: set[str] = set()
        with self._database.read() as connection:
            if connection.execute(sa.select(suppressions.c.email).limit(1)).first():
                for start in range(0, len(emails), _LOOKUP_ROWS):
                    part = emails.iloc[start : start + _LOOKUP_ROWS].tolist()
                    query = sa.select(suppressions.c.email).where(suppressions.c.email.in_(part))
                    found.update(connection.execute(query).scalars())
        return emails.isin(found)
