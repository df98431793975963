"""The statements that an outbox runs again and again, built once.

To build one of them takes longer than to run it, and all of that time in the interpreter, which the
sessions wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from mailsluice.core.status import UNCLAIMED, RecipientStatus
from mailsluice.store.campaign_tables import CampaignTables
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, in_one_value, rows_in
from mailsluice.store.outbox_rows import ClaimScope
from mailsluice.store.schema import suppressions

_SENDING = RecipientStatus.SENDING.value
_UNCERTAIN = RecipientStatus.UNCERTAIN.value
_LAST_ID = sa.bindparam("last_id", type_=sa.BigInteger())
_ID: dict[str, sa.types.TypeEngine[Any]] = {"id": sa.BigInteger()}
_OUTCOME: dict[str, sa.types.TypeEngine[Any]] = {
    **_ID,
    "status": sa.Text(),
    "attempts": sa.SmallInteger(),
    "code": sa.SmallInteger(),
    "reply": sa.Text(),
    "delay_seconds": sa.Double(),
}


Conditions = tuple[sa.ColumnElement[bool], ...]


def scope_parameters(scope: ClaimScope) -> dict[str, Any]:
    """The parameters of statements in a scope."""
    parameters: dict[str, Any] = {"last_id": scope.last_id}
    if scope.only is not None:
        parameters["only"] = scope.only
    elif scope.without:
        parameters |= as_parameter((number,) for number in sorted(scope.without))
    return parameters


class OutboxStatements:
    """The statements of one process on the recipients of one campaign.

    Rows are given as `many.as_parameter` makes them.
    """

    def __init__(
        self, database: Database, tables: CampaignTables, campaign_id: int, sender_id: int | None
    ) -> None:
        self._database = database
        self.tables = tables
        self._recipients = recipients = tables.recipients
        self.mine = recipients.c.campaign_id == campaign_id
        """Whether a recipient is of this campaign."""
        self.claimed_here = recipients.c.claimed_by.is_not_distinct_from(sender_id)
        """Whether this process has claimed a recipient."""
        self._sender_id = sender_id
        self._scoped: dict[tuple[str, bool, bool], sa.Select[Any]] = {}

    def due(self, scope: ClaimScope) -> sa.Select[Any]:
        """Deferred recipients of `connection` up to `last_id` that are due, `most` of them."""
        return self._in_scope(self._due, scope)

    def pending(self, scope: ClaimScope) -> sa.Select[Any]:
        """Pending recipients of `connection` in send order, `most` of them.

        Their ids are above `after_id`, up to `last_id`.
        """
        return self._in_scope(self._pending, scope)

    def first_pending(self, scope: ClaimScope) -> sa.Select[Any]:
        """The id of the first of the recipients that `pending` selects."""
        return self._in_scope(self._first_pending, scope)

    def count_pending(self, scope: ClaimScope) -> sa.Select[Any]:
        """The number of the recipients that `pending` selects."""
        return self._in_scope(self._count_pending, scope)

    def next_due(self, scope: ClaimScope) -> sa.Select[Any]:
        """Seconds until the next deferred recipient of `connection` is due."""
        return self._in_scope(self._next_due, scope)

    def _in_scope(
        self, build: Callable[[Conditions], sa.Select[Any]], scope: ClaimScope
    ) -> sa.Select[Any]:
        """Build a statement once for each kind of scope; see `scope_parameters`."""
        key = build.__name__, scope.only is not None, bool(scope.without)
        if key not in self._scoped:
            self._scoped[key] = build(self._conditions(scope))
        return self._scoped[key]

    def _conditions(self, scope: ClaimScope) -> Conditions:
        provider = self._recipients.c.provider
        if scope.only is not None:
            return (provider == sa.bindparam("only", type_=sa.SmallInteger()),)
        if scope.without:
            given = rows_in(self._database, {"provider": sa.SmallInteger()})
            return (sa.func.coalesce(provider, 0).not_in(sa.select(given.c.provider)),)
        return ()

    def _due(self, conditions: Conditions) -> sa.Select[Any]:
        recipients = self._recipients
        return self._claimable(
            self._claimed_fields()
            .where(
                recipients.c.id + 0 <= _LAST_ID,  # not for the index of ids
                recipients.c.status == RecipientStatus.DEFERRED,
                recipients.c.next_attempt_at <= self._database.now,
                *conditions,
            )
            .order_by(recipients.c.next_attempt_at)
        )

    def _pending(self, conditions: Conditions) -> sa.Select[Any]:
        query = self._claimed_fields().where(*self._is_pending, *conditions)
        return self._claimable(query.order_by(self._recipients.c.id))

    def _first_pending(self, conditions: Conditions) -> sa.Select[Any]:
        query = sa.select(self._recipients.c.id).where(*self._is_pending, *conditions)
        return query.order_by(self._recipients.c.id).limit(1)

    def _count_pending(self, conditions: Conditions) -> sa.Select[Any]:
        return sa.select(sa.func.count()).where(*self._is_pending, *conditions)

    @property
    def _is_pending(self) -> Conditions:
        recipients = self._recipients
        return (
            self.mine,
            recipients.c.connection == sa.bindparam("connection"),
            recipients.c.id > sa.bindparam("after_id", type_=sa.BigInteger()),
            recipients.c.id <= _LAST_ID,
            recipients.c.status == RecipientStatus.PENDING,
        )

    def _next_due(self, conditions: Conditions) -> sa.Select[Any]:
        recipients = self._recipients
        return sa.select(sa.func.min(recipients.c.next_attempt_at) - self._database.now).where(
            self.mine,
            recipients.c.connection == sa.bindparam("connection"),
            recipients.c.id + 0 <= _LAST_ID,  # not for the index of ids
            recipients.c.status == RecipientStatus.DEFERRED,
            recipients.c.next_attempt_at.is_not(None),  # the condition of the index
            *conditions,
        )

    def _claimed_fields(self) -> sa.Select[Any]:
        """Select the fields of `Claimed`, and whether the address is on the suppression list."""
        recipients = self._recipients
        now = self._database.now
        suppressed = sa.exists().where(suppressions.c.email == self.tables.compared)
        return sa.select(
            recipients.c.id,
            recipients.c.email,
            recipients.c.variables,
            recipients.c.attempts,
            (now - sa.func.coalesce(recipients.c.first_attempt_at, now)).label("age_seconds"),
            sa.func.coalesce(recipients.c.provider, 0).label("provider"),
            suppressed.label("is_suppressed"),
        ).where(self.mine, recipients.c.connection == sa.bindparam("connection"))

    def _claimable(self, query: sa.Select[Any]) -> sa.Select[Any]:
        query = query.limit(sa.bindparam("most", type_=sa.Integer()))
        if not self._database.is_sqlite:
            query = query.with_for_update(skip_locked=True)
        return in_one_value(self._database, query)

    @cached_property
    def mark_sending(self) -> sa.Update:
        """Mark claimed recipients, given by `id`."""
        return self._mark(RecipientStatus.SENDING, claimed_by=self._sender_id)

    @cached_property
    def mark_taken(self) -> sa.Update:
        """Mark recipients, given by `id`, that the connection `taker` claims from the pool."""
        return self.mark_sending.values(connection=sa.bindparam("taker", type_=sa.Text()))

    @cached_property
    def mark_suppressed(self) -> sa.Update:
        """Mark suppressed recipients, given by `id`, with the reason in the form of the list."""
        said = suppressions.c.reason + ": " + suppressions.c.source
        listed = suppressions.c.email == self.tables.compared
        why = sa.select(said).where(listed).scalar_subquery()
        return self._mark(RecipientStatus.SUPPRESSED, reply=why)

    def _mark(self, status: RecipientStatus, **values: Any) -> sa.Update:
        recipients = self._recipients
        given = rows_in(self._database, _ID)
        return (
            sa.update(recipients)
            .where(recipients.c.id.in_(sa.select(given.c.id)))
            .values(status=status.value, next_attempt_at=None, **values)
        )

    @cached_property
    def settle(self) -> sa.Update:
        """Record outcomes, given as `id, status, attempts, code, reply, delay_seconds`."""
        recipients = self._recipients
        value = rows_in(self._database, _OUTCOME).c
        now = self._database.now
        return (
            sa.update(recipients)
            .where(
                recipients.c.id == value.id,
                self.claimed_here,
                sa.or_(*(recipients.c.status == status for status in (_SENDING, _UNCERTAIN))),
            )
            .values(
                status=value.status,
                attempts=value.attempts,
                code=value.code,
                reply=value.reply,
                settled_at=now,
                first_attempt_at=sa.func.coalesce(recipients.c.first_attempt_at, now),
                next_attempt_at=now + value.delay_seconds,
            )
        )

    @cached_property
    def settle_troubled(self) -> ReturningUpdate[Any]:
        """Record outcomes as `settle` does, and return the ids of the recipients that changed."""
        return self.settle.returning(self._recipients.c.id)

    @cached_property
    def add_attempt(self) -> sa.Insert:
        """Insert a row of `attempts`, given by its columns except for `at`."""
        return sa.insert(self.tables.attempts).values(at=self._database.now)

    @cached_property
    def addresses(self) -> sa.Select[Any]:
        """Select `id`, `email` and the time `now` of recipients, given by `id`."""
        recipients = self._recipients
        given = rows_in(self._database, _ID)
        now = self._database.now.label("now")
        return sa.select(recipients.c.id, recipients.c.email, now).where(
            recipients.c.id.in_(sa.select(given.c.id))
        )

    @cached_property
    def release_to_pool(self) -> sa.Update:
        """Do as `release` does; a recipient that was never attempted has no connection then."""
        recipients = self._recipients
        is_unattempted = recipients.c.attempts == 0
        connection = sa.case((is_unattempted, UNCLAIMED), else_=recipients.c.connection)
        return self.release.values(connection=connection)

    @cached_property
    def release(self) -> sa.Update:
        """Make recipients pending again, given by `id`, that this process has claimed."""
        recipients = self._recipients
        given = rows_in(self._database, _ID)
        return (
            sa.update(recipients)
            .where(
                recipients.c.id == given.c.id,
                self.claimed_here,
                recipients.c.status == _SENDING,
            )
            .values(status=RecipientStatus.PENDING.value)
        )
