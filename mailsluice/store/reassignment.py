"""Moving recipients from a connection that is down, or held, to connections that work."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

import sqlalchemy as sa

from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import OPEN, RecipientStatus
from mailsluice.limits.apportionment import quotas
from mailsluice.stop_loss import Unit
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.holds import within
from mailsluice.store.moves import record_moves

_CHUNK_ROWS = 50_000


def reassign(
    database: Database,
    campaign_id: int,
    down: str,
    shares: Mapping[str, Decimal],
    *,
    provider: int | None = None,
    without: Collection[int] = (),
    reason: MoveReason = MoveReason.DOWN,
) -> dict[str, int]:
    """Move the recipients of a connection to others, in proportion to their shares.

    With `provider`, only the recipients of that mailbox provider move; those of the providers in
    `without` stay. Recipients that were attempted stay, and rows keep the first connection. The
    counts are exact (largest remainder) and evenly spread over the send order. All recipients move
    in one transaction, or none does. Returns how many each connection received.
    """
    from mailsluice.assignment.layout import lay_out  # numpy: nearly no campaign reassigns

    names = list(shares)
    recipients = tables_of(database, campaign_id).recipients
    movable = sa.and_(
        recipients.c.campaign_id == campaign_id,
        within(recipients, Unit(down, provider)),
        recipients.c.status == RecipientStatus.PENDING,
        recipients.c.attempts == 0,
        sa.func.coalesce(recipients.c.provider, 0).not_in([*without]),
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
            transaction.execute(
                move, [{"p_id": recipient_id, "p_connection": to} for recipient_id, to in pairs]
            )
        moved = dict(zip(names, counts, strict=True))
        stay = _open(transaction, recipients, campaign_id, down)
        record_moves(transaction, campaign_id, _moves(down, moved, stay, reason))
    return moved


def _open(
    transaction: sa.Connection, recipients: sa.Table, campaign_id: int, connection: str
) -> int:
    """Recipients of a connection whose mail is not settled yet."""
    query = sa.select(sa.func.count()).where(
        recipients.c.campaign_id == campaign_id,
        recipients.c.connection == connection,
        recipients.c.status.in_([status.value for status in OPEN]),
    )
    return transaction.execute(query).scalar_one()


def _moves(down: str, moved: Mapping[str, int], stay: int, reason: MoveReason) -> Iterator[Move]:
    """The moves in order, each with the recipients left before it; `stay` recipients remain."""
    left = stay + sum(moved.values())
    for target, number in moved.items():
        yield Move(down, target, reason, number, left)
        left -= number
