"""Decisions of an operator about uncertain recipients, as stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.fates import Fate
from mailsluice.store.packing import index_claims

OPERATOR_PHASE = "operator"
"""The phase of an attempt that records a decision; the attempt's verdict is the decision."""


def record_decision(
    database: Database,
    campaign_id: int,
    rows: Sequence[Fate],
    *,
    decision: str,
    status: RecipientStatus,
    text: str,
) -> None:
    """Give uncertain recipients of a campaign another status, with a row in its attempts.

    A recipient that becomes `pending` is sent again, so its age counts from the next attempt.
    Recipients that are no longer uncertain stay as they are.
    """
    values: dict[str, Any] = {
        "status": status.value,
        "code": None,
        "reply": text,
        "next_attempt_at": None,
    }
    if status is RecipientStatus.PENDING:
        values |= {"first_attempt_at": None, "settled_at": None}
    tables = tables_of(database, campaign_id)
    recipients = tables.recipients
    update = (
        sa.update(recipients)
        .where(
            recipients.c.id == sa.bindparam("p_id"),
            recipients.c.status == RecipientStatus.UNCERTAIN,
        )
        .values(**values)
    )
    history = [
        {
            "recipient_id": row.id,
            "connection": row.connection,
            "phase": OPERATOR_PHASE,
            "verdict": decision,
            "code": None,
            "reply": text,
        }
        for row in rows
    ]
    with database.write() as transaction:
        if tables.is_own and status is RecipientStatus.PENDING:
            index_claims(transaction, campaign_id)
        transaction.execute(update, [{"p_id": row.id} for row in rows])
        transaction.execute(sa.insert(tables.attempts).values(at=database.now), history)
