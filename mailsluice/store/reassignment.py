"""Moving recipients from a connection that is down to those that work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import sqlalchemy as sa

from mailsluice.assignment import lay_out
from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import OPEN, RecipientStatus
from mailsluice.limits.apportionment import quotas
from mailsluice.store.database import Database
from mailsluice.store.moves import record_moves
from mailsluice.store.schema import recipients

_CHUNK_ROWS = 50_000


def reassign(
    database: Database, campaign_id: int, down: str, shares: Mapping[str, Decimal]
) -> dict[str, int]:
    """Give the recipients of a connection that is down to others, in proportion to their shares.

    Only those that were never attempted move, and their rows say where they came from. The counts
    are exact (largest remainder) and evenly spread over the send order. Returns how many each
    connection got. One transaction: all of them move, or none.
    """
    names = list(shares)
    movable = sa.and_(
        recipients.c.campaign_id == campaign_id,
        recipients.c.connection == down,
        recipients.c.status == RecipientStatus.PENDING,
        recipients.c.attempts == 0,
    )
    move = (
        sa.update(recipients)
        .where(recipients.c.id == sa.bindparam("p_id"))
        .values(
            connection=sa.bindparam("p_connection"),
            reassigned_from=sa.func.coalesce(recipients.c.reassigned_from, down),
        )
    )
    with database.write() as transaction:
        query = sa.select(recipients.c.id).where(movable).order_by(recipients.c.id)
        ids = list(transaction.execute(query).scalars())
        counts = quotas(len(ids), list(shares.values()))
        layout = [names[route] for route in lay_out(counts).tolist()]
        for start in range(0, len(ids), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            pairs = zip(ids[part], layout[part], strict=True)
            transaction.execute(move, [{"p_id": one, "p_connection": to} for one, to in pairs])
        moved = dict(zip(names, counts, strict=True))
        record_moves(
            transaction, campaign_id, _moves(down, moved, _open(transaction, campaign_id, down))
        )
    return moved


def _open(transaction: sa.Connection, campaign_id: int, connection: str) -> int:
    """How many still wait for their mail on a connection."""
    query = sa.select(sa.func.count()).where(
        recipients.c.campaign_id == campaign_id,
        recipients.c.connection == connection,
        recipients.c.status.in_([one.value for one in OPEN]),
    )
    return transaction.execute(query).scalar_one()


def _moves(down: str, moved: Mapping[str, int], stay: int) -> Iterator[Move]:
    """One connection after the other takes its part of what is left; `stay` do not move."""
    left = stay + sum(moved.values())
    for target, number in moved.items():
        yield Move(down, target, MoveReason.DOWN, number, left)
        left -= number
