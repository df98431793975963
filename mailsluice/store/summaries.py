"""The numbers of each campaign as counted last, so that a list of campaigns counts nobody.

Whoever may change recipients, or learns what became of accepted mail, notes a change; a count is
valid as long as no change was noted since. So a process that dies leaves numbers that are known to
be old, and the next list counts again. A run that is alive writes its own numbers now and then.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.schema import campaign_summaries

Changes = int
"""How many changes were noted when somebody began to count."""


def note_changes(
    database: Database, transaction: sa.Connection, campaign_ids: Collection[int]
) -> None:
    """Note that recipients of these campaigns may have changed.

    Call it as the last step of a transaction: a run may wait for these rows.
    """
    _note(database, transaction, campaign_ids, "changes")


def note_later_changes(
    database: Database, transaction: sa.Connection, campaign_ids: Collection[int]
) -> None:
    """Note that more is known of the accepted mail of these campaigns, as `note_changes`."""
    _note(database, transaction, campaign_ids, "later_changes")


def _note(
    database: Database, transaction: sa.Connection, campaign_ids: Collection[int], column: str
) -> None:
    changes = campaign_summaries.c[column]
    insert = database.insert(campaign_summaries)
    for campaign_id in sorted(campaign_ids):  # no two transactions wait for each other
        transaction.execute(
            insert.values(campaign_id=campaign_id, **{column: 1}).on_conflict_do_update(
                index_elements=["campaign_id"], set_={column: changes + 1}
            )
        )


class Summary:
    """The summary of one campaign: a row of `campaign_summaries`."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id

    def note_changes(self) -> None:
        """Note that recipients may change from now on, until somebody counts."""
        with self._database.write() as transaction:
            note_changes(self._database, transaction, [self._campaign_id])

    def changes(self) -> Changes:
        """How many changes were noted so far; read it before you count recipients."""
        return self._noted("changes")

    def later_changes(self) -> Changes:
        """The same, before you count what became of accepted mail."""
        return self._noted("later_changes")

    def counted(
        self,
        accepted: int,
        changes: Changes,
        per_second: float | None = None,
    ) -> None:
        """Store how many messages servers have accepted, as counted after `changes`.

        `per_second` is the pace of a run that has just ended; None keeps that of an earlier one.
        """
        pace = {} if per_second is None else {"per_second": per_second}
        self._write(accepted=accepted, counted_changes=changes, expected_end=None, **pace)

    def progressed(
        self,
        accepted: int,
        per_second: float | None,
        expected_end: float | None,
    ) -> None:
        """Store what the run that sends the campaign knows at the moment.

        `expected_end` is in seconds since the epoch.
        """
        self._write(accepted=accepted, per_second=per_second, expected_end=expected_end)

    def counted_later(
        self, changes: Changes, delivered: int | None, bounced: int, complained: int
    ) -> None:
        """Store what became of accepted mail, as counted after `changes` of `later_changes`.

        `delivered` is None where no provider reports deliveries.
        """
        self._write(
            counted_later_changes=changes,
            delivered=delivered,
            bounced=bounced,
            complained=complained,
        )

    def sent_by(self, run_id: str) -> None:
        """Store the id of the flow run that sends the campaign."""
        self._write(run_id=run_id)

    def reported(self) -> None:
        """Record that the campaign's report has been published."""
        self._write(reported_at=self._database.now)

    def _noted(self, column: str) -> int:
        query = sa.select(campaign_summaries.c[column]).where(
            campaign_summaries.c.campaign_id == self._campaign_id
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none() or 0

    def _write(self, **values: Any) -> None:
        insert = self._database.insert(campaign_summaries)
        statement = insert.values(campaign_id=self._campaign_id, **values)
        with self._database.write() as transaction:
            transaction.execute(
                statement.on_conflict_do_update(index_elements=["campaign_id"], set_=values)
            )
