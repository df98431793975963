"""The canaries of a campaign: the recipients of each connection that go first.

They have the lowest ids, which is the send order. Until a connection's canary is decided about,
nothing beyond its last recipient is claimed, whatever processes send, crash or start: the claim
itself reads the bound in its transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.stop_loss import Decision
from mailsluice.store.campaign_tables import CampaignTablesFinder
from mailsluice.store.database import Database
from mailsluice.store.schema import canaries, holds

LOOK_SECONDS = 1.0
"""How often the end of a canary is looked for where its moment is not known."""


class Bound(NamedTuple):
    """The end of what may be claimed for now."""

    last_id: int
    look_in_seconds: float
    """When to claim again, where nothing else is due before."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The canary of one connection that is not decided about."""

    connection: str
    recipients: int
    last_id: int
    is_attempted: bool
    """Whether all its recipients were attempted, so that the wait has begun."""
    is_due: bool
    """Whether the wait is over."""


class Canaries:
    """The canaries of one campaign."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._finder = CampaignTablesFinder(database, campaign_id)
        self._open = (canaries.c.campaign_id == campaign_id, canaries.c.decided_at.is_(None))

    def bound(self, transaction: sa.Connection, connection: str) -> Bound | None:
        """What may be claimed of a connection's recipients; None: all of them."""
        query = sa.select(
            canaries.c.last_id, canaries.c.judged_at - self._database.now.label("left")
        ).where(*self._open, canaries.c.connection == connection)
        row = transaction.execute(query).one_or_none()
        if row is None:
            return None
        return Bound(row[0], max(LOOK_SECONDS, row[1] or 0.0))

    def undecided(self) -> list[Canary]:
        """The canaries that are not decided about."""
        query = (
            sa.select(
                canaries.c.connection,
                canaries.c.recipients,
                canaries.c.last_id,
                canaries.c.judged_at.is_not(None),
                sa.func.coalesce(canaries.c.judged_at <= self._database.now, sa.false()),
            )
            .where(*self._open)
            .order_by(canaries.c.connection)
        )
        with self._database.read() as reader:
            return [
                Canary(connection, recipients, last_id, bool(is_attempted), bool(is_due))
                for connection, recipients, last_id, is_attempted, is_due in reader.execute(query)
            ]

    def count(self) -> int:
        """How many connections have a canary, decided or not."""
        query = sa.select(sa.func.count()).where(canaries.c.campaign_id == self._campaign_id)
        with self._database.read() as reader:
            return reader.execute(query).scalar_one()

    def begin_wait(self, canary: Canary, seconds: float, without: Collection[int] = ()) -> bool:
        """Begin the wait for what becomes of a canary, once all its recipients were attempted.

        Those of mailbox providers that are held meanwhile, or that are in `without`, are not waited
        for. A recipient that was put off before counts as attempted, whether it is claimed again or
        not.
        """
        recipients = self._finder.tables.recipients
        held = sa.select(holds.c.provider).where(
            holds.c.campaign_id == self._campaign_id,
            holds.c.connection == canary.connection,
            holds.c.provider.is_not(None),
            sa.or_(holds.c.decision.is_(None), holds.c.decision == Decision.STOP.value),
        )
        is_waiting = sa.and_(
            recipients.c.status == RecipientStatus.PENDING,
            sa.func.coalesce(recipients.c.provider, 0).not_in(held),
        )
        is_on_its_way = sa.exists().where(
            recipients.c.campaign_id == self._campaign_id,
            recipients.c.connection == canary.connection,
            recipients.c.id <= canary.last_id,
            recipients.c.attempts == 0,
            sa.or_(recipients.c.status == RecipientStatus.SENDING, is_waiting),
            sa.func.coalesce(recipients.c.provider, 0).not_in(without),
        )
        statement = (
            sa.update(canaries)
            .where(
                *self._open,
                canaries.c.connection == canary.connection,
                canaries.c.judged_at.is_(None),
                ~is_on_its_way,
            )
            .values(judged_at=self._database.now + seconds)
        )
        with self._database.write() as transaction:
            return bool(transaction.execute(statement).rowcount)

    def decide(self, connection: str | None = None) -> None:
        """Let a connection send to all its recipients from now on; None: every connection."""
        chosen = [] if connection is None else [canaries.c.connection == connection]
        statement = (
            sa.update(canaries).where(*self._open, *chosen).values(decided_at=self._database.now)
        )
        with self._database.write() as transaction:
            transaction.execute(statement)


def record_canaries(
    transaction: sa.Connection, recipients: sa.Table, campaign_id: int, counts: Mapping[str, int]
) -> None:
    """Record how many recipients of each connection are its canary: those with the lowest ids."""
    for connection, count in counts.items():
        if not count:
            continue
        ids = sa.select(recipients.c.id).where(
            recipients.c.campaign_id == campaign_id, recipients.c.connection == connection
        )
        last_id = ids.order_by(recipients.c.id).limit(1).offset(count - 1)
        transaction.execute(
            sa.insert(canaries).values(
                campaign_id=campaign_id,
                connection=connection,
                recipients=count,
                last_id=last_id.scalar_subquery(),
            )
        )
