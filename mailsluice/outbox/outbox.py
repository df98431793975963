"""The outbox of one campaign: what may go out, what is on its way, what became of it.

`sending` is committed before a message can reach a server; its outcome is committed after the
reply. Whatever happens in between, a row never claims more than what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from mailsluice.outbox.counts import Counts
from mailsluice.outbox.database import Database
from mailsluice.outbox.schema import attempts, campaigns, recipients, suppressions
from mailsluice.status import RecipientStatus


@dataclass(frozen=True, slots=True)
class Claimed:
    """A recipient that this run may send to: its row says `sending`."""

    id: int
    email: str
    variables: str
    """JSON object: column name to text."""
    attempts: int
    """Attempts made before this one."""
    age_seconds: float
    """Since the first attempt; 0 before it."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A recipient whose row says `sending`."""

    connection: str
    attempts: int
    """Attempts made before this one."""


@dataclass(frozen=True, slots=True)
class History:
    """An attempt that was not accepted at once, to be kept."""

    connection: str
    phase: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a claimed recipient."""

    id: int
    status: RecipientStatus
    attempts: int
    """Attempts made so far, this one included."""
    code: int | None = None
    reply: str | None = None
    delay_seconds: float | None = None
    """For `deferred`: how long from now until the next attempt."""
    history: History | None = None


class Outbox:
    """The `recipients` of one campaign."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._mine = recipients.c.campaign_id == campaign_id

    def claim(
        self, transaction: sa.Connection, connection: str, limit: int, after_id: int = 0
    ) -> list[Claimed]:
        """Take up to `limit` recipients of a connection for sending.

        First the deferred ones that are due, then the pending ones with an id above `after_id`, in
        send order.

        Who was suppressed since the launch is marked so and not returned; so fewer than `limit` may
        come back although more are there: an empty list means that there are none.
        """
        here = sa.and_(self._mine, recipients.c.connection == connection)
        due = (
            sa.select(recipients.c.id)
            .where(
                here,
                recipients.c.status == RecipientStatus.DEFERRED,
                recipients.c.next_attempt_at <= self._database.now,
            )
            .order_by(recipients.c.next_attempt_at)
        )
        pending = (
            sa.select(recipients.c.id)
            .where(
                here,
                recipients.c.id > after_id,
                recipients.c.status == RecipientStatus.PENDING,
            )
            .order_by(recipients.c.id)
        )
        claimed: list[Claimed] = []
        for query in (due, pending):
            while room := limit - len(claimed):
                taken = self._take(transaction, query.limit(room))
                claimed += [_claimed(row) for row in taken if row.status == _SENDING]
                if len(taken) < room:
                    break
        return claimed

    def _take(self, transaction: sa.Connection, query: sa.Select[int]) -> list[sa.Row[Any]]:
        if not self._database.is_sqlite:
            query = query.with_for_update(skip_locked=True)
        now = self._database.now
        suppressed = sa.exists().where(suppressions.c.email == recipients.c.email)
        age = now - sa.func.coalesce(recipients.c.first_attempt_at, now)
        statement = (
            sa.update(recipients)
            .where(recipients.c.id.in_(query))
            .values(
                status=sa.case((suppressed, RecipientStatus.SUPPRESSED.value), else_=_SENDING),
                next_attempt_at=None,
            )
            .returning(
                recipients.c.id,
                recipients.c.email,
                recipients.c.variables,
                recipients.c.attempts,
                age.label("age_seconds"),
                recipients.c.status,
            )
        )
        return sorted(transaction.execute(statement), key=lambda row: row.id)

    def settle(self, transaction: sa.Connection, settled: Sequence[Settled]) -> None:
        """Write what became of claimed recipients."""
        if not settled:
            return
        if self._database.is_sqlite:
            transaction.execute(self._settle_one(), [_parameters(one) for one in settled])
        else:
            columns = zip(*(_parameters(one).values() for one in settled), strict=True)
            arrays = dict(zip(_PARAMETERS, map(list, columns), strict=True))
            transaction.execute(self._settle_many(), arrays)
        history = [
            {
                "recipient_id": one.id,
                "connection": one.history.connection,
                "phase": one.history.phase,
                "verdict": one.history.verdict,
                "code": one.code,
                "reply": one.reply or "",
            }
            for one in settled
            if one.history
        ]
        if history:
            transaction.execute(sa.insert(attempts).values(at=self._database.now), history)

    def _settle_one(self) -> sa.Update:
        return self._settle(
            {name: sa.bindparam(f"p_{name}", type_=kind) for name, kind in _TYPES.items()}
        )

    def _settle_many(self) -> sa.Update:
        rows = (
            sa.func.unnest(
                *(sa.bindparam(f"p_{name}", type_=ARRAY(kind)) for name, kind in _TYPES.items())
            )
            .table_valued(*(sa.column(name, kind) for name, kind in _TYPES.items()))
            .render_derived(name="settled")
        )
        return self._settle(dict(rows.c.items()))

    def _settle(self, value: Mapping[str, Any]) -> sa.Update:
        now = self._database.now
        delay = sa.type_coerce(value["delay_seconds"], sa.Double)
        return (
            sa.update(recipients)
            .where(
                recipients.c.id == value["id"],
                sa.or_(*(recipients.c.status == one for one in (_SENDING, _UNCERTAIN))),
            )
            .values(
                status=value["status"],
                attempts=value["attempts"],
                code=value["code"],
                reply=value["reply"],
                settled_at=now,
                first_attempt_at=sa.func.coalesce(recipients.c.first_attempt_at, now),
                next_attempt_at=now + delay,
            )
        )

    def release(self, transaction: sa.Connection, ids: Iterable[int]) -> None:
        """Put claimed recipients back: their message cannot have reached a server."""
        statement = (
            sa.update(recipients)
            .where(recipients.c.id == sa.bindparam("p_id"), recipients.c.status == _SENDING)
            .values(status=RecipientStatus.PENDING.value)
        )
        rows = [{"p_id": one} for one in ids]
        if rows:
            transaction.execute(statement, rows)

    def in_doubt(self) -> dict[int, InDoubt]:
        """The recipients that say `sending`, by id.

        Where no run is sending, nobody knows what became of them: see the journal.
        """
        query = sa.select(recipients.c.id, recipients.c.connection, recipients.c.attempts)
        with self._database.read() as connection:
            rows = connection.execute(query.where(self._mine, recipients.c.status == _SENDING))
            return {row.id: InDoubt(row.connection, row.attempts) for row in rows}

    def columns(self) -> list[str]:
        """The names of the audience's columns: the variables of the message."""
        query = sa.select(recipients.c.variables).where(self._mine).limit(1)
        with self._database.read() as connection:
            variables = connection.execute(query).scalar_one_or_none()
        return list(orjson.loads(variables)) if variables else []

    def next_due_seconds(self, transaction: sa.Connection, connection: str) -> float | None:
        """How long until this connection's next deferred recipient is due; None: there is none."""
        query = sa.select(sa.func.min(recipients.c.next_attempt_at) - self._database.now).where(
            self._mine,
            recipients.c.connection == connection,
            recipients.c.status == RecipientStatus.DEFERRED,
        )
        left = transaction.execute(query).scalar_one()
        return None if left is None else max(0.0, float(left))

    def cancel(self) -> int:
        """Give up all who wait for their mail. Returns how many."""
        waiting = (RecipientStatus.PENDING.value, RecipientStatus.DEFERRED.value)
        with self._database.write() as connection:
            done = connection.execute(
                sa.update(recipients)
                .where(self._mine, recipients.c.status.in_(waiting))
                .values(status=RecipientStatus.CANCELLED.value, next_attempt_at=None)
            )
            return done.rowcount

    def counts(self) -> Counts:
        """How many recipients are in which state, per connection."""
        by_connection: dict[str, dict[RecipientStatus, int]] = {}
        with self._database.read() as connection:
            accepted = connection.execute(
                sa.select(campaigns.c.accepted).where(campaigns.c.id == self._campaign_id)
            ).scalar_one()
            query = (
                sa.select(recipients.c.connection, recipients.c.status, sa.func.count())
                .where(self._mine)
                .group_by(recipients.c.connection, recipients.c.status)
            )
            for name, status, number in connection.execute(query):
                by_connection.setdefault(name, {})[RecipientStatus(status)] = number
        return Counts(accepted, by_connection)


_SENDING = RecipientStatus.SENDING.value
_UNCERTAIN = RecipientStatus.UNCERTAIN.value

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "id": sa.BigInteger(),
    "status": sa.Text(),
    "attempts": sa.SmallInteger(),
    "code": sa.SmallInteger(),
    "reply": sa.Text(),
    "delay_seconds": sa.Double(),
}
_PARAMETERS = tuple(f"p_{name}" for name in _TYPES)


def _claimed(row: sa.Row[Any]) -> Claimed:
    return Claimed(row.id, row.email, row.variables, row.attempts, row.age_seconds)


def _parameters(one: Settled) -> dict[str, Any]:
    return {
        "p_id": one.id,
        "p_status": one.status.value,
        "p_attempts": one.attempts,
        "p_code": one.code,
        "p_reply": one.reply,
        "p_delay_seconds": one.delay_seconds,
    }
