"""Which recipients of a campaign have their outcome in a log: a bit for each, in spans of ids.

A cursor cannot say this: connections, mailbox providers and time zones advance through the ids of a
campaign at paces of their own, recipients move and wait, and there is no index on the time of an
outcome. A bit a recipient is exact whatever the order: 125 kB for a million recipients.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.fates import Fates
from mailsluice.store.schema import message_log_campaigns, message_log_spans

SPAN_IDS = 4_096
"""Ids of a span, from `number * SPAN_IDS` on."""


@dataclass(slots=True)
class Span:
    """A range of a campaign's ids, and which of them are logged."""

    number: int
    logged: int = 0
    """A bit for each logged id."""

    @property
    def count(self) -> int:
        """How many ids are logged."""
        return self.logged.bit_count()

    def bit(self, recipient_id: int) -> int:
        """The bit of an id."""
        return 1 << (recipient_id - self.number * SPAN_IDS)

    @property
    def first_unlogged(self) -> int:
        """The lowest id that is not logged."""
        lowest = (~self.logged & (self.logged + 1)).bit_length() - 1
        return self.number * SPAN_IDS + lowest

    def with_ids(self, ids: Iterable[int]) -> Span:
        """The span once these ids are logged as well."""
        logged = self.logged
        for recipient_id in ids:
            logged |= self.bit(recipient_id)
        return Span(self.number, logged)


class Spans:
    """The tables `message_log_campaigns` and `message_log_spans` of one log."""

    def __init__(self, database: Database, log: str) -> None:
        self._database = database
        self._log = log

    def begin(self, campaign_id: int) -> dict[int, Span]:
        """The spans of a campaign that are not complete, by number.

        The campaign is added to the log if it is not there yet. A campaign without recipients has
        no span.
        """
        kept = message_log_campaigns.c
        mine = sa.and_(kept.log == self._log, kept.campaign_id == campaign_id)
        with self._database.read() as connection:
            row = connection.execute(sa.select(kept.first_id, kept.last_id).where(mine)).first()
        if row is None:
            first, last = Fates(self._database, campaign_id).bounds()
            self._add(campaign_id, first, last)
        else:
            first, last = row
        numbers = range(first // SPAN_IDS, last // SPAN_IDS + 1) if last >= first else range(0)
        spans = {number: Span(number) for number in numbers}
        for number, logged in self._stored(campaign_id):
            if logged:
                spans[number].logged = int.from_bytes(logged, "little")
            else:
                del spans[number]
        return spans

    def _add(self, campaign_id: int, first: int, last: int) -> None:
        insert = self._database.insert_ignoring(message_log_campaigns).values(
            log=self._log, campaign_id=campaign_id, first_id=first, last_id=last, is_closed=False
        )
        with self._database.write() as transaction:
            transaction.execute(insert)

    def _stored(self, campaign_id: int) -> list[Any]:
        kept = message_log_spans.c
        query = sa.select(kept.number, kept.logged).where(
            kept.log == self._log, kept.campaign_id == campaign_id
        )
        with self._database.read() as connection:
            return list(connection.execute(query))

    def save(
        self,
        transaction: sa.Connection,
        campaign_id: int,
        spans: Iterable[Span],
        complete: Collection[int],
    ) -> None:
        """Store what is logged of these spans; those with a number in `complete` are done."""
        rows = [
            {
                "log": self._log,
                "campaign_id": campaign_id,
                "number": span.number,
                "logged": b"" if span.number in complete else _octets(span.logged),
            }
            for span in spans
        ]
        if not rows:
            return
        insert = self._database.insert(message_log_spans)
        statement = insert.on_conflict_do_update(
            index_elements=["log", "campaign_id", "number"],
            set_={"logged": insert.excluded.logged},
        )
        transaction.execute(statement, rows)

    def close(self, transaction: sa.Connection, campaign_id: int) -> None:
        """Record that the log has nothing more to read of a campaign's recipients."""
        spans = message_log_spans.c
        insert = self._database.insert(message_log_campaigns).values(
            log=self._log, campaign_id=campaign_id, first_id=1, last_id=0, is_closed=True
        )
        transaction.execute(
            insert.on_conflict_do_update(
                index_elements=["log", "campaign_id"], set_={"is_closed": True}
            )
        )
        transaction.execute(
            sa.delete(message_log_spans).where(
                spans.log == self._log, spans.campaign_id == campaign_id
            )
        )


def _octets(logged: int) -> bytes:
    return logged.to_bytes(max(1, (logged.bit_length() + 7) // 8), "little")
