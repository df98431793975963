"""The outbox of one campaign: recipients to send to, messages on their way, and outcomes.

`sending` is committed before a message can reach a server, and the outcome after the reply. So a
row never states more than what is known, whatever happens in between.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import orjson
import sqlalchemy as sa

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import UNCLAIMED, RecipientStatus
from mailsluice.store.campaign_tables import CampaignTables, CampaignTablesFinder
from mailsluice.store.counts import Counts
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, fetched
from mailsluice.store.outbox_rows import (
    EVERYBODY,
    Claimed,
    ClaimScope,
    History,
    InDoubt,
    Settled,
)
from mailsluice.store.outbox_statements import OutboxStatements, scope_parameters
from mailsluice.store.pool import is_pooled
from mailsluice.store.refusals import record_refusals
from mailsluice.store.reported import settle_reported
from mailsluice.store.schema import campaigns

logger = logging.getLogger(__name__)

_CLOCKS_DIFFER_SECONDS = 60.0  # a difference that a failover to another machine may cause unnoticed


class Outbox:
    """The recipients of one campaign, for one of the processes that send it.

    `sender_id` is the process's row in `senders`, or None for the campaign's own run.
    `longest_delay_seconds` is the longest time from an attempt to the next one.
    """

    def __init__(
        self,
        database: Database,
        campaign_id: int,
        sender_id: int | None = None,
        *,
        longest_delay_seconds: float = math.inf,
    ) -> None:
        self._database = database
        self._longest_delay_seconds = longest_delay_seconds
        self._campaign_id = campaign_id
        self._sender_id = sender_id
        self._finder = CampaignTablesFinder(database, campaign_id)
        self._built: OutboxStatements | None = None

    @property
    def _statements(self) -> OutboxStatements:
        tables = self._finder.tables
        if self._built is None or self._built.tables is not tables:
            self._built = OutboxStatements(
                self._database, tables, self._campaign_id, self._sender_id
            )
        return self._built

    @property
    def _tables(self) -> CampaignTables:
        return self._finder.tables

    @property
    def _recipients(self) -> sa.Table:
        return self._tables.recipients

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return self._recipients.c.campaign_id == self._campaign_id

    @cached_property
    def is_pooled(self) -> bool:
        """Whether the campaign's connections claim from a pool (strategy `throughput`)."""
        return is_pooled(self._database, self._campaign_id)

    def claim(
        self,
        transaction: sa.Connection,
        connection: str,
        limit: int,
        after_id: int = 0,
        scope: ClaimScope = EVERYBODY,
        *,
        only_pending: bool = False,
    ) -> list[Claimed]:
        """Claim up to `limit` recipients of a connection in a scope: their rows become `sending`.

        Deferred recipients that are due come first, then pending ones with an id above `after_id`,
        in send order. Recipients that were suppressed since the launch become `suppressed` instead,
        with the reason, and recipients of a retry whose message has arrived all the same, as an
        event shows, become `sent`. The result may therefore be shorter than `limit` while more
        recipients wait; an empty result means that none can be claimed. With `only_pending`,
        deferred recipients are left out.
        """
        due = [] if only_pending else self.claim_due(transaction, connection, limit, scope)
        room = limit - len(due)
        return due + self.claim_pending(transaction, connection, room, after_id, scope)

    def claim_due(
        self, transaction: sa.Connection, connection: str, limit: int, scope: ClaimScope = EVERYBODY
    ) -> list[Claimed]:
        """Claim deferred recipients that are due, as `claim` does."""
        given = {"connection": connection, **scope_parameters(scope)}
        return self._claim(transaction, self._statements.due(scope), given, limit)

    def claim_pending(
        self,
        transaction: sa.Connection,
        connection: str,
        limit: int,
        after_id: int = 0,
        scope: ClaimScope = EVERYBODY,
    ) -> list[Claimed]:
        """Claim pending recipients, as `claim` does; fewer than `limit` mean that none is left."""
        given = {"connection": connection, "after_id": after_id, **scope_parameters(scope)}
        return self._claim(transaction, self._statements.pending(scope), given, limit)

    def claim_from_pool(
        self,
        transaction: sa.Connection,
        connection: str,
        limit: int,
        after_id: int = 0,
        scope: ClaimScope = EVERYBODY,
    ) -> list[Claimed]:
        """Claim up to `limit` recipients that no connection has claimed yet, in send order.

        Their ids are above `after_id`, and from now on they are recipients of the connection; see
        `claim` for the rest.
        """
        given = {"connection": UNCLAIMED, "after_id": after_id, **scope_parameters(scope)}
        query = self._statements.pending(scope)
        return self._claim(transaction, query, given, limit, taker=connection)

    def _claim(
        self,
        transaction: sa.Connection,
        query: sa.Select[Any],
        given: dict[str, Any],
        limit: int,
        taker: str | None = None,
    ) -> list[Claimed]:
        """Claim what a query finds; `taker` is the connection that recipients of the pool get."""
        statements = self._statements
        claimed: list[Claimed] = []
        while room := limit - len(claimed):
            found = transaction.execute(query, {**given, "most": room})
            rows = fetched(self._database, found)
            taken = sorted(Claimed(*row[:-1]) for row in rows if not row[-1])
            arrived = self._settle_reported(transaction, [row.id for row in taken if row.attempts])
            taken = [row for row in taken if row.id not in arrived]
            ids = [row.id for row in taken]
            if taker is None:
                _mark(transaction, statements.mark_sending, ids)
            else:
                _mark(transaction, statements.mark_taken, ids, taker=taker)
            suppressed = [row[0] for row in rows if row[-1]]
            _mark(transaction, statements.mark_suppressed, suppressed)
            claimed += taken
            if len(rows) < room:
                break
        return claimed

    def first_pending(
        self, transaction: sa.Connection, connection: str, after_id: int, scope: ClaimScope
    ) -> int | None:
        """The first pending recipient in a scope with an id above `after_id`."""
        given = {"connection": connection, "after_id": after_id, **scope_parameters(scope)}
        return transaction.execute(self._statements.first_pending(scope), given).scalar()

    def count_pending(
        self, transaction: sa.Connection, connection: str, after_id: int, scope: ClaimScope
    ) -> int:
        """Count the pending recipients in a scope with ids above `after_id`, in a scan of them."""
        given = {"connection": connection, "after_id": after_id, **scope_parameters(scope)}
        return int(transaction.execute(self._statements.count_pending(scope), given).scalar_one())

    def settle(self, transaction: sa.Connection, settled: Sequence[Settled]) -> None:
        """Record the outcomes for claimed recipients.

        Recipients that another process has settled since stay as they are, without a further row in
        `attempts`: this process may repeat a transaction whose commit was slow.
        """
        plain = [outcome for outcome in settled if not outcome.history]
        if plain:
            transaction.execute(self._statements.settle, as_parameter(map(_fields, plain)))
        if len(plain) < len(settled):
            self._settle_troubled(
                transaction, [(outcome, outcome.history) for outcome in settled if outcome.history]
            )

    def _settle_troubled(
        self, transaction: sa.Connection, troubled: Sequence[tuple[Settled, History]]
    ) -> None:
        """Record outcomes with the attempts that led to them, where a message was not accepted."""
        given = as_parameter(_fields(outcome) for outcome, _ in troubled)
        changed = set(transaction.execute(self._statements.settle_troubled, given).scalars())
        recorded = [(outcome, past) for outcome, past in troubled if outcome.id in changed]
        if recorded:
            rows = [_attempt(outcome, past) for outcome, past in recorded]
            transaction.execute(self._statements.add_attempt, rows)
            addresses = self._statements.addresses
            record_refusals(self._database, transaction, self._campaign_id, addresses, recorded)
        self._settle_reported(
            transaction,
            [outcome.id for outcome, past in troubled if past.verdict == Verdict.UNCERTAIN],
        )

    def _settle_reported(self, transaction: sa.Connection, ids: Sequence[int]) -> set[int]:
        return settle_reported(self._database, transaction, self._tables, ids)

    def release(self, transaction: sa.Connection, ids: Iterable[int]) -> None:
        """Make claimed recipients pending again: their messages cannot have reached a server.

        Those that no connection has ever attempted return to the pool, if the campaign has one.
        Recipients that another sender has claimed since stay with that sender. This process may
        repeat a transaction whose commit was lost, or was made without an answer.
        """
        released = [*ids]
        statements = self._statements
        release = statements.release_to_pool if self.is_pooled else statements.release
        _mark(transaction, release, released)
        self._settle_reported(transaction, released)

    def in_doubt(self, transaction: sa.Connection | None = None) -> dict[int, InDoubt]:
        """The recipients that this process claimed and that are still `sending`, by id.

        After the process has ended, only its journal may tell what became of their messages.
        """
        recipients = self._recipients
        query = sa.select(recipients.c.id, recipients.c.connection, recipients.c.attempts).where(
            self._mine,
            self._statements.claimed_here,
            recipients.c.status == _SENDING,
        )
        with nullcontext(transaction) if transaction else self._database.read() as connection:
            rows = connection.execute(query)
            return {row.id: InDoubt(row.connection, row.attempts) for row in rows}

    def columns(self) -> list[str]:
        """The names of the audience's columns, which are the variables of the message."""
        recipients = self._recipients
        query = sa.select(recipients.c.variables).where(self._mine).limit(1)
        with self._database.read() as connection:
            variables = connection.execute(query).scalar_one_or_none()
        return list(orjson.loads(variables)) if variables else []

    def next_due_seconds(
        self, transaction: sa.Connection, connection: str, scope: ClaimScope = EVERYBODY
    ) -> float | None:
        """Seconds until the next deferred recipient in the scope is due; None when there is none.

        A recipient that is due later than the longest delay allows was deferred while the
        database's clock was wrong. All such recipients of the connection become due now.
        """
        query = self._statements.next_due(scope)
        given = {"connection": connection, **scope_parameters(scope)}
        left = transaction.execute(query, given).scalar_one()
        if left is not None and left > self._longest_delay_seconds + _CLOCKS_DIFFER_SECONDS:
            self._recall(transaction, connection)
            left = transaction.execute(query, given).scalar_one()
        return None if left is None else max(0.0, float(left))

    def _recall(self, transaction: sa.Connection, connection: str) -> None:
        """Make recipients due that were deferred too far; those of a later warm-up day wait on."""
        recipients = self._recipients
        now = self._database.now
        recalled = transaction.execute(
            sa.update(recipients)
            .where(
                self._mine,
                recipients.c.connection == connection,
                recipients.c.status == RecipientStatus.DEFERRED,
                recipients.c.attempts > 0,
                recipients.c.next_attempt_at > now + self._longest_delay_seconds,
            )
            .values(next_attempt_at=now)
        )
        if recalled.rowcount:
            logger.warning(
                "%d deferred recipients of connection %s were due later than any retry allows,"
                " because the state database's clock was set: they are due now",
                recalled.rowcount,
                connection,
            )

    def cancel(self) -> int:
        """Cancel all recipients that wait for their mail. Returns how many."""
        recipients = self._recipients
        waiting = (RecipientStatus.PENDING.value, RecipientStatus.DEFERRED.value)
        with self._database.write() as connection:
            cancelled = connection.execute(
                sa.update(recipients)
                .where(self._mine, recipients.c.status.in_(waiting))
                .values(status=RecipientStatus.CANCELLED.value, next_attempt_at=None)
            )
            return cancelled.rowcount

    def suppressed_since(self) -> dict[str, int]:
        """Recipients suppressed after the launch, by reason."""
        recipients = self._recipients
        query = (
            sa.select(recipients.c.reply, sa.func.count())
            .where(self._mine, recipients.c.status == RecipientStatus.SUPPRESSED)
            .group_by(recipients.c.reply)
        )
        by_reason: Counter[str] = Counter()
        with self._database.read() as connection:
            for why, number in connection.execute(query):
                by_reason[(why or "unknown").partition(":")[0]] += number
        return dict(by_reason)

    def counts(self) -> Counts:
        """Count the recipients by connection and state."""
        recipients = self._recipients
        by_connection: dict[str, dict[RecipientStatus, int]] = {}
        with self._database.sorting() as connection:
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


def _mark(
    transaction: sa.Connection, statement: sa.Update, ids: Iterable[int], **parameters: str
) -> None:
    rows = [(recipient_id,) for recipient_id in ids]
    if rows:
        transaction.execute(statement, {**as_parameter(rows), **parameters})


def _fields(outcome: Settled) -> tuple[Any, ...]:
    return (
        outcome.id,
        outcome.status,
        outcome.attempts,
        outcome.code,
        outcome.reply,
        outcome.delay_seconds,
    )


def _attempt(outcome: Settled, past: History) -> dict[str, Any]:
    return {
        "recipient_id": outcome.id,
        "connection": past.connection,
        "phase": past.phase,
        "verdict": past.verdict,
        "code": outcome.code,
        "reply": outcome.reply or "",
    }
