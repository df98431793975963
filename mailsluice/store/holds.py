"""Parts of a campaign that a stop-loss or a canary holds: the `holds` table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from mailsluice.core.status import UNCLAIMED, RecipientStatus
from mailsluice.stop_loss import Decision, Figures, Hold, Unit
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import holds, routes

_WAITING = (RecipientStatus.PENDING.value, RecipientStatus.DEFERRED.value)


@dataclass(frozen=True, slots=True)
class NewHold:
    """A part that is to be held."""

    unit: Unit
    reason: str
    limit_percent: float | None
    figures: Mapping[int, Figures]
    """The figures of each provider, by number."""


class Holds:
    """The holds of one campaign."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._mine = holds.c.campaign_id == campaign_id

    def all(self) -> list[Hold]:
        """Every hold, in the order in which they began."""
        with self._database.read() as reader:
            return self._read(reader)

    def active(self) -> list[Hold]:
        """The holds because of which nothing is sent to some recipients."""
        return [hold for hold in self.all() if hold.is_active]

    def undecided(self) -> list[Hold]:
        """The holds that an operator has to decide about."""
        return [hold for hold in self.all() if hold.decision is None]

    def add(self, new: Sequence[NewHold]) -> list[Hold]:
        """Hold these parts from now on; returns those that were not held before."""
        with self._database.write() as transaction:
            held = {hold.unit for hold in self._read(transaction) if hold.is_active}
            ids = {
                transaction.execute(self._insert(hold)).scalar_one()
                for hold in new
                if hold.unit not in held
            }
            return [hold for hold in self._read(transaction) if hold.id in ids]

    def decide(
        self,
        hold_id: int,
        decision: Decision,
        target: str | None = None,
        figures: Mapping[int, Figures] | None = None,
    ) -> None:
        """Record a decision, unless there was one before, and the figures of that moment."""
        now = {} if figures is None else {"figures": _dumped(figures)}
        statement = (
            sa.update(holds)
            .where(self._mine, holds.c.id == hold_id, holds.c.decision.is_(None))
            .values(decision=decision.value, target=target, decided_at=self._database.now, **now)
        )
        with self._database.write() as transaction:
            transaction.execute(statement)

    def cancel_stopped(self) -> int:
        """Cancel the recipients that wait in parts that an operator has stopped. Returns how many.

        A message that was on its way when the part was stopped may return its recipient later. So
        this is repeated at the end of each run.
        """
        stopped = [hold.unit for hold in self.all() if hold.decision is Decision.STOP]
        if not stopped:
            return 0
        recipients = tables_of(self._database, self._campaign_id).recipients
        statement = (
            sa.update(recipients)
            .where(
                recipients.c.campaign_id == self._campaign_id,
                recipients.c.status.in_(_WAITING),
                sa.or_(
                    *(within(recipients, unit) for unit in stopped),
                    *self._stopped_in_pool(recipients, stopped),
                ),
            )
            .values(status=RecipientStatus.CANCELLED.value, next_attempt_at=None)
        )
        with self._database.write() as transaction:
            return transaction.execute(statement).rowcount

    def _stopped_in_pool(
        self, recipients: sa.Table, stopped: Sequence[Unit]
    ) -> list[sa.ColumnElement[bool]]:
        """The recipients in the pool, if there is one, that no connection may send to any more."""
        query = sa.select(routes.c.connection).where(routes.c.campaign_id == self._campaign_id)
        with self._database.read() as reader:
            names = set(reader.execute(query).scalars())
        in_pool = recipients.c.connection == UNCLAIMED
        sending = names - {unit.connection for unit in stopped if unit.provider is None}
        if not sending:
            return [in_pool]
        without = [{one.provider for one in stopped if one.connection == name} for name in sending]
        providers = set.intersection(*without)
        return [sa.and_(in_pool, recipients.c.provider.in_(providers))] if providers else []

    def waiting(self, unit: Unit) -> int:
        """Count the recipients of a part that wait for their mail."""
        recipients = tables_of(self._database, self._campaign_id).recipients
        query = sa.select(sa.func.count()).where(
            recipients.c.campaign_id == self._campaign_id,
            recipients.c.status.in_(_WAITING),
            within(recipients, unit),
        )
        with self._database.read() as reader:
            return reader.execute(query).scalar_one()

    def _insert(self, new: NewHold) -> Any:
        values = {
            "campaign_id": self._campaign_id,
            "connection": new.unit.connection,
            "provider": new.unit.provider,
            "reason": new.reason,
            "limit_percent": new.limit_percent,
            "figures": _dumped(new.figures),
            "at": self._database.now,
        }
        return sa.insert(holds).values(**values).returning(holds.c.id)

    def _read(self, reader: sa.Connection) -> list[Hold]:
        query = sa.select(holds).where(self._mine).order_by(holds.c.id)
        return [_hold(row) for row in reader.execute(query)]


def within(recipients: sa.Table, unit: Unit) -> sa.ColumnElement[bool]:
    """Whether a recipient belongs to a part of its campaign."""
    is_on_connection = recipients.c.connection == unit.connection
    if unit.provider is None:
        return is_on_connection
    return sa.and_(is_on_connection, recipients.c.provider == unit.provider)


def _dumped(figures: Mapping[int, Figures]) -> str:
    by_provider = {str(provider): asdict(numbers) for provider, numbers in figures.items()}
    return orjson.dumps(by_provider).decode()


def _hold(row: sa.Row[Any]) -> Hold:
    stored = orjson.loads(row.figures)
    return Hold(
        row.id,
        Unit(row.connection, row.provider),
        row.reason,
        row.limit_percent,
        {int(provider): Figures(**numbers) for provider, numbers in stored.items()},
        row.at,
        Decision(row.decision) if row.decision else None,
        row.target,
    )
