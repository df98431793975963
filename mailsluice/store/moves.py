"""Moves of recipients to another connection: the `moves` table."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from mailsluice.core.moves import Move, MoveReason
from mailsluice.store.database import Database
from mailsluice.store.schema import moves


def record_moves(
    database: Database, transaction: sa.Connection, campaign_id: int, new: Iterable[Move]
) -> None:
    """Record moves in the transaction that carries them out."""
    rows = [
        {
            "campaign_id": campaign_id,
            "origin": move.origin,
            "target": move.target,
            "reason": move.reason.value,
            "recipients": move.recipients,
            "of": move.of,
        }
        for move in new
        if move.recipients
    ]
    if rows:
        transaction.execute(sa.insert(moves).values(at=database.now), rows)


def read_moves(reader: sa.Connection, campaign_id: int) -> list[Move]:
    """A campaign's moves, in the order in which they happened."""
    query = (
        sa.select(
            moves.c.origin,
            moves.c.target,
            moves.c.reason,
            moves.c.recipients,
            moves.c.of,
            moves.c.at,
        )
        .where(moves.c.campaign_id == campaign_id)
        .order_by(moves.c.id)
    )
    return [
        Move(origin, target, MoveReason(reason), recipients, of, at)
        for origin, target, reason, recipients, of, at in reader.execute(query)
    ]
