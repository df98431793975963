"""Recording refusals as bounces, in the transaction that settles the refused recipients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from mailsluice.bounces import Bounce
from mailsluice.bounces.refusal import refused
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.store.bounces import Bounces
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.outbox_rows import History, Settled


def record_refusals(
    database: Database,
    transaction: sa.Connection,
    campaign_id: int,
    recipients: sa.Table,
    troubled: Sequence[tuple[Settled, History]],
) -> None:
    """Record a bounce for each recipient that failed for a reason of its own.

    `recipients` is the table with the campaign's recipients.
    """
    reports = list(_reports(database, transaction, campaign_id, recipients, troubled))
    Bounces(database).write(transaction, reports)


def _reports(
    database: Database,
    transaction: sa.Connection,
    campaign_id: int,
    recipients: sa.Table,
    troubled: Sequence[tuple[Settled, History]],
) -> Iterator[Bounce]:
    failed = {
        outcome.id: (outcome, attempt, refusal)
        for outcome, attempt in troubled
        if outcome.status is RecipientStatus.FAILED
        and (refusal := refused(Attempt(Phase(attempt.phase), outcome.code, outcome.reply or "")))
    }
    if not failed:
        return
    given = rows_in(database, {"id": sa.BigInteger()})
    query = sa.select(recipients.c.id, recipients.c.email, database.now.label("now")).where(
        recipients.c.id.in_(sa.select(given.c.id))
    )
    for row in transaction.execute(query, as_parameter((id_,) for id_ in failed)):
        outcome, attempt, (kind, status) = failed[row.id]
        yield Bounce(
            key=f"smtp:{campaign_id}:{row.id}",
            email=row.email,
            kind=kind,
            status=status,
            detail=outcome.reply or "",
            source=f"smtp {attempt.connection}",
            at=row.now,
            connection=attempt.connection,
            campaign_id=campaign_id,
            recipient_id=row.id,
        )
