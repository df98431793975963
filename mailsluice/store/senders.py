"""The processes ("senders") that share the recipients of one connection of a campaign.

Each sender claims under its own row in `senders`. A sender that was taken over can claim nothing
more, and `recipients.claimed_by` shows what a dead sender had claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from mailsluice.core.errors import SenderLostError
from mailsluice.store.database import Database
from mailsluice.store.leases import LEASE_SECONDS
from mailsluice.store.schema import senders


class Ending(StrEnum):
    """The end of a sender."""

    DONE = "done"
    """No recipient of the connection waits for mail."""
    STOPPED = "stopped"
    """The sender was told to stop."""
    WAITING = "waiting"
    """The sender has no work for a long time; `next_at` says until when."""
    DOWN = "down"
    """The connection was given up; `detail` says why."""
    LOST = "lost"
    """The sender gave no sign of life, and others took over what it had claimed."""


@dataclass(frozen=True, slots=True)
class SenderRecord:
    """One row of `senders`."""

    id: int
    connection: str
    owner: str
    """The id of the sender's flow run."""
    journal: str
    started_at: float
    is_expired: bool
    """Whether the lease was not renewed in time."""
    standing: str | None
    """JSON, see `mailsluice.delivery.standing`."""
    ended_at: float | None
    ending: Ending | None
    detail: str | None
    next_at: float | None
    """The time at which the connection can send again, in seconds since the epoch by the
    database's clock."""
    lease_until: float = 0.0
    """Seconds since the epoch by the database's clock."""


class Senders:
    """The senders of one campaign."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._mine = senders.c.campaign_id == campaign_id

    def begin(self, connection: str, owner: str, journal: str) -> int:
        """Add a sender whose lease lasts LEASE_SECONDS. Returns its id."""
        now = self._database.now
        statement = sa.insert(senders).values(
            campaign_id=self._campaign_id,
            connection=connection,
            owner=owner,
            journal=journal,
            started_at=now,
            lease_until=now + LEASE_SECONDS,
        )
        with self._database.write() as transaction:
            return int(transaction.execute(statement.returning(senders.c.id)).scalar_one())

    def renew(self, sender_id: int, standing: str | None) -> None:
        """Renew a sender's lease and store its progress.

        Raises SenderLostError when the sender was taken over.
        """
        now = self._database.now
        with self._database.write() as transaction:
            self._change(
                transaction,
                sender_id,
                lease_until=now + LEASE_SECONDS,
                standing=sa.func.coalesce(standing, senders.c.standing),
            )

    def end(
        self,
        sender_id: int,
        ending: Ending,
        *,
        standing: str | None = None,
        detail: str | None = None,
        next_in_seconds: float | None = None,
    ) -> None:
        """Record that a sender has ended with nothing claimed.

        Raises SenderLostError when the sender was taken over.
        """
        now = self._database.now
        next_at = None if next_in_seconds is None else now + next_in_seconds
        with self._database.write() as transaction:
            self._change(
                transaction,
                sender_id,
                ending=ending.value,
                ended_at=now,
                standing=standing,
                detail=detail,
                next_at=next_at,
            )

    def lose(self, transaction: sa.Connection, sender_id: int) -> bool:
        """Record that a sender is dead.

        True when this call is the one that recorded it: the caller then owns what the sender had
        claimed.
        """
        now = self._database.now
        return self._is_changed(transaction, sender_id, ending=Ending.LOST.value, ended_at=now)

    def claiming(self, transaction: sa.Connection, sender_id: int) -> bool:
        """Lock a sender's row, so that no process takes it over before the transaction ends.

        False when another process has already taken it over.
        """
        return self._is_changed(transaction, sender_id, is_idle=False)

    def idle(self, transaction: sa.Connection, sender_id: int) -> None:
        """Record that a sender has nothing in hand and nothing left to claim, now or later."""
        self._is_changed(transaction, sender_id, is_idle=True)

    def others_are_busy(
        self, transaction: sa.Connection, sender_id: int, connection: str | None
    ) -> bool:
        """Whether another sender of this connection may leave recipients to be sent to.

        None: any other sender of the campaign, since all claim from a pool.
        """
        chosen = [] if connection is None else [senders.c.connection == connection]
        busy = sa.exists().where(
            self._mine,
            *chosen,
            senders.c.id != sender_id,
            senders.c.ended_at.is_(None),
            senders.c.is_idle.is_(sa.false()),
        )
        return bool(transaction.execute(sa.select(busy)).scalar_one())

    def all(self, after_id: int = 0) -> list[SenderRecord]:
        """Senders that have not ended and those with an id above `after_id`, by id."""
        fields: list[sa.Column[Any]] = [
            senders.c[name] for name in SenderRecord.__dataclass_fields__ if name in senders.c
        ]
        expired = (senders.c.lease_until < self._database.now).label("is_expired")
        query = (
            sa.select(*fields, expired)
            .where(self._mine, sa.or_(senders.c.id > after_id, senders.c.ended_at.is_(None)))
            .order_by(senders.c.id)
        )
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def moment(self) -> float:
        """The time of the database's clock, in seconds since the epoch."""
        return self._database.moment().timestamp()

    def living(self) -> list[SenderRecord]:
        """Senders that are not known to have ended."""
        return [sender for sender in self.all() if sender.ending is None]

    def last_id(self) -> int:
        """The highest id so far; 0 when there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(senders.c.id), 0)).where(self._mine)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _change(self, transaction: sa.Connection, sender_id: int, **values: Any) -> None:
        if not self._is_changed(transaction, sender_id, **values):
            raise SenderLostError(sender_id)

    def _is_changed(self, transaction: sa.Connection, sender_id: int, **values: Any) -> bool:
        done = transaction.execute(
            sa.update(senders)
            .where(senders.c.id == sender_id, senders.c.ended_at.is_(None))
            .values(**values)
        )
        return bool(done.rowcount)


def _record(row: sa.Row[*tuple[Any, ...]]) -> SenderRecord:
    values = {name: getattr(row, name) for name in SenderRecord.__dataclass_fields__}
    ending = Ending(row.ending) if row.ending else None
    return SenderRecord(**{**values, "ending": ending, "is_expired": bool(row.is_expired)})
