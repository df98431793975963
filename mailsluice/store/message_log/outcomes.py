"""The outcomes of a campaign's recipients, found without an index on the time of an outcome."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.message_log.spans import SPAN_IDS, Span

FINAL = (
    RecipientStatus.SENT,
    RecipientStatus.FAILED,
    RecipientStatus.SUPPRESSED,
    RecipientStatus.CANCELLED,
)
"""The states that a recipient leaves only with a new row in `attempts`: as an event of its provider
shows, the message has arrived. Uncertain recipients are not among them: they may be sent again."""

_FINAL = tuple(status.value for status in FINAL)
_STATUSES = {status.value: status for status in FINAL}
_STATUS = 4
"""The place of the status among the columns that are read."""
_FEW = 256
"""New outcomes of a span that are fetched by their ids, when most others are logged."""


class Found(NamedTuple):
    """The recipients in a span."""

    number: int
    all: int
    final: int


class LastAttempt(NamedTuple):
    """The last attempt in a recipient's history."""

    phase: str
    verdict: str
    reply: str


@dataclass(frozen=True, slots=True)
class LoggedOutcome:
    """A recipient with an outcome."""

    id: int
    email: str
    compared: str
    connection: str
    status: RecipientStatus
    attempts: int
    code: int | None
    reply: str
    settled_at: float | None
    provider: int
    """The number of the mailbox provider; 0: unknown."""
    reassigned_from: str | None
    last: LastAttempt | None = None
    """Looked up where the row alone does not tell how the outcome came about."""


class Outcomes:
    """The outcomes of one campaign's recipients."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._tables = tables_of(database, campaign_id)
        recipients = self._tables.recipients
        self._ids = recipients.c.id
        # Adding 0 keeps planners from the index on the campaign: a span is a range of the key.
        self._mine = recipients.c.campaign_id + 0 == campaign_id

    def count(self, first: int, last: int) -> Iterator[Found]:
        """Count the recipients of the spans with these numbers, and those with an outcome.

        Who has an outcome by now has one for `read` as well, which is called later. So a span of
        which all recipients are final here, and are read then, is complete.
        """
        number = (
            self._ids / SPAN_IDS if self._database.is_sqlite else sa.func.div(self._ids, SPAN_IDS)
        )
        number = sa.cast(number, sa.BigInteger())
        is_final = sa.case((self._tables.recipients.c.status.in_(_FINAL), 1), else_=0)
        query = (
            sa.select(number, sa.func.count(), sa.func.sum(is_final))
            .where(self._mine, self._ids >= first * SPAN_IDS, self._ids < (last + 1) * SPAN_IDS)
            .group_by(number)
        )
        with self._database.read() as connection:
            for row in connection.execute(query):
                yield Found(*row)

    def read(self, span: Span, new: int) -> list[LoggedOutcome]:
        """Read the outcomes in a span that are not logged: about `new` of them."""
        within: tuple[sa.ColumnElement[bool], ...] = (
            self._mine,
            self._ids >= span.first_unlogged,
            self._ids < (span.number + 1) * SPAN_IDS,
            self._tables.recipients.c.status.in_(_FINAL),
        )
        given: dict[str, str] = {}
        if new <= _FEW < span.count:
            with self._database.read() as connection:
                ids = connection.execute(sa.select(self._ids).where(*within)).scalars()
                given = as_parameter((found,) for found in ids if not span.logged & span.bit(found))
            within = (self._ids.in_(self._given),)
        with self._database.read() as connection:
            query = self._query.where(*within).order_by(self._ids)
            rows: list[Any] = [*connection.execute(query, given)]
        new_rows = (row for row in rows if not span.logged & span.bit(row.id))
        return self._with_last([_outcome(row) for row in new_rows])

    @property
    def _given(self) -> sa.Select[Any]:
        return sa.select(rows_in(self._database, {"id": sa.BigInteger()}).c.id)

    @property
    def _query(self) -> sa.Select[Any]:
        recipients = self._tables.recipients.c
        return sa.select(
            recipients.id,
            recipients.email,
            self._tables.compared,
            recipients.connection,
            recipients.status,
            recipients.attempts,
            recipients.code,
            sa.func.coalesce(recipients.reply, ""),
            recipients.settled_at,
            sa.func.coalesce(recipients.provider, 0),
            recipients.reassigned_from,
        )

    def _with_last(self, outcomes: list[LoggedOutcome]) -> list[LoggedOutcome]:
        """Look up the last attempts of those that failed, or were sent without a reply."""
        unclear = [outcome.id for outcome in outcomes if _is_unclear(outcome)]
        if not unclear:
            return outcomes
        last = self._last_attempts(unclear)
        return [
            replace(outcome, last=last.get(outcome.id)) if _is_unclear(outcome) else outcome
            for outcome in outcomes
        ]

    def _last_attempts(self, ids: Collection[int]) -> Mapping[int, LastAttempt]:
        attempts = self._tables.attempts.c
        query = (
            sa.select(attempts.recipient_id, attempts.phase, attempts.verdict, attempts.reply)
            .where(attempts.recipient_id.in_(self._given))
            .order_by(attempts.id)
        )
        given = as_parameter((recipient_id,) for recipient_id in ids)
        with self._database.read() as connection:
            return {row[0]: LastAttempt(*row[1:]) for row in connection.execute(query, given)}


def _outcome(row: Any) -> LoggedOutcome:
    fields = [*row]
    fields[_STATUS] = _STATUSES[row[_STATUS]]
    return LoggedOutcome(*fields)


def _is_unclear(outcome: LoggedOutcome) -> bool:
    if outcome.status is RecipientStatus.SENT:
        return outcome.code is None or outcome.code // 100 != 2
    return outcome.status is RecipientStatus.FAILED
