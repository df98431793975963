"""Recording refusals as bounces, in the transaction that settles the refused recipients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import Bounce
from mailsluice.bounces.refusal import refused
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.store.bounces import Bounces
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter
from mailsluice.store.outbox_rows import History, Settled


def record_refusals(
    database: Database,
    transaction: sa.Connection,
    campaign_id: int,
    addresses: sa.Select[Any],
    troubled: Sequence[tuple[Settled, History]],
) -> None:
    """Record a bounce for each recipient that failed for a reason of its own.

    `addresses` selects `id`, `email` and the time `now` of recipients given by id.
    """
    reports = list(_reports(transaction, campaign_id, addresses, troubled))
    Bounces(database).write(transaction, reports)


def _reports(
    transaction: sa.Connection,
    campaign_id: int,
    addresses: sa.Select[Any],
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
    for row in transaction.execute(addresses, as_parameter((id_,) for id_ in failed)):
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
