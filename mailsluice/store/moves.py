"""Moves of recipients to another connection: the `moves` table."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from mailsluice.core.moves import Move, MoveReason
from mailsluice.store.schema import moves


def record_moves(transaction: sa.Connection, campaign_id: int, new: Iterable[Move]) -> None:
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
        transaction.execute(sa.insert(moves), rows)


def read_moves(reader: sa.Connection, campaign_id: int) -> list[Move]:
    """A campaign's moves, in the order in which they happened."""
    query = (
        sa.select(moves.c.origin, moves.c.target, moves.c.reason, moves.c.recipients, moves.c.of)
        .where(moves.c.campaign_id == campaign_id)
        .order_by(moves.c.id)
    )
    return [
        Move(origin, target, MoveReason(reason), recipients, of)
        for origin, target, reason, recipients, of in reader.execute(query)
    ]
