"""Recipients whose mail was accepted, as an event of the provider shows, though no reply says so.

A reply may be lost, with its connection or with its process, while the provider delivers the mail.
An event may come before the run has noticed that the reply is lost, or weeks later. So the event
settles the recipient, and whoever makes a recipient uncertain or sends again looks for deliveries.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningUpdate

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState
from mailsluice.store.campaign_tables import CampaignTables
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.schema import deliveries

EVENT_PHASE = "event"
"""The phase of an attempt that records that an event has settled the recipient."""
_KEPT = (RecipientStatus.SENT.value, RecipientStatus.SENDING.value)
"""A recipient that is `sending` gets its outcome from the process that has claimed it."""


def settle_reported(
    database: Database,
    transaction: sa.Connection,
    tables: CampaignTables,
    recipient_ids: Collection[int],
    kept: Collection[str] = _KEPT,
) -> set[int]:
    """Count those of these recipients as sent that have a delivery. Returns their ids.

    A recipient that a server has refused stays failed, unless the reply to an earlier attempt was
    lost: then it was that attempt that has reached the provider.
    """
    if not recipient_ids:
        return set()
    update = database.built(_update, tables, tuple(kept))
    ordered = sorted(recipient_ids)
    settled = transaction.execute(update, as_parameter((key,) for key in ordered)).all()
    if settled:
        history = [
            {
                "recipient_id": row.id,
                "connection": row.connection,
                "phase": EVENT_PHASE,
                "verdict": Verdict.ACCEPTED.value,
                "code": None,
                "reply": row.reply,
            }
            for row in settled
        ]
        transaction.execute(sa.insert(tables.attempts).values(at=database.now), history)
    return {row.id for row in settled}


def _update(
    database: Database, tables: CampaignTables, kept: Collection[str]
) -> ReturningUpdate[Any]:
    recipients, attempts = tables.recipients, tables.attempts
    given = rows_in(database, {"id": sa.BigInteger()})
    has_lost_reply = sa.exists().where(
        attempts.c.recipient_id == recipients.c.id,
        attempts.c.verdict == Verdict.UNCERTAIN.value,
    )
    is_refused_for_now = sa.and_(
        recipients.c.status == RecipientStatus.DEFERRED.value,
        recipients.c.code.is_not(None),
        ~has_lost_reply,
    )
    return (
        sa.update(recipients)
        .where(
            recipients.c.id.in_(sa.select(given.c.id)),
            recipients.c.status.not_in(kept),
            sa.or_(
                recipients.c.status != RecipientStatus.FAILED.value,
                recipients.c.code.is_(None),
                has_lost_reply,
            ),
            sa.exists().where(
                deliveries.c.recipient_id == recipients.c.id,
                sa.or_(~is_refused_for_now, deliveries.c.state != DeliveryState.DROPPED.value),
            ),
        )
        .values(
            status=RecipientStatus.SENT.value,
            code=None,
            reply="accepted, as an event of " + recipients.c.connection + " shows",
            next_attempt_at=None,
            settled_at=sa.func.coalesce(recipients.c.settled_at, database.now),
        )
        .returning(recipients.c.id, recipients.c.connection, recipients.c.reply)
    )
