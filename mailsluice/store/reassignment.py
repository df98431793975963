"""Moving recipients that were never attempted to other connections, also while these send.

A claim and a move exclude each other row by row: the UPDATE that moves a recipient checks again
that the recipient still waits on its connection without an attempt, and only what the UPDATE has
changed is recorded. On PostgreSQL the UPDATE waits for a claim of the row, and claims skip rows
that are being moved; on SQLite, transactions that write exclude each other.

Many recipients move in several transactions, so that senders can write in between. Each of them
records what it moved, so a process that dies in the middle leaves exact numbers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mailsluice.core.moves import MoveReason
from mailsluice.core.status import OPEN, RecipientStatus
from mailsluice.core.steady import steady
from mailsluice.limits.apportionment import quotas
from mailsluice.stop_loss import Unit
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.holds import within
from mailsluice.store.many import as_parameter, fetch, rows_in
from mailsluice.store.schema import moves

_TRANSACTION_ROWS = 5_000

OnMoved = Callable[[int, Mapping[str, int]], None]
"""Called after each commit with the lowest id that may have moved in it, and the number of
recipients that each connection has received in it."""


def reassign(
    database: Database,
    campaign_id: int,
    origin: str,
    shares: Mapping[str, Decimal],
    *,
    provider: int | None = None,
    without: Collection[int] = (),
    most: int | None = None,
    left: int | None = None,
    reason: MoveReason = MoveReason.DOWN,
    on_moved: OnMoved = lambda _lowest, _moved: None,
    goes_on: Callable[[], bool] = lambda: True,
) -> dict[str, int]:
    """Move the recipients of a connection to others, in proportion to their shares. Blocking.

    Only recipients that were never attempted and that no sender has claimed move, and none moves to
    a connection that it left before. The counts are exact (largest remainder) and evenly spread
    over the send order. Rows keep their first connection (`reassigned_from`) and name their last
    move (`move_id`).

    Args:
        database: The state database.
        campaign_id: The campaign.
        origin: The connection that gives recipients away.
        shares: The connections that take them, with their weights.
        provider: Only the recipients of the mailbox provider with this number move.
        without: Recipients of the mailbox providers with these numbers stay.
        most: At most so many move, the last ones in send order.
        left: How many recipients the connection has to send to; counted where it is not known.
        reason: The reason, which is recorded.
        on_moved: Called after each commit.
        goes_on: Asked before each transaction: whether to move the recipients that are left.

    Returns:
        How many recipients each connection has received.
    """
    chosen = [within(tables_of(database, campaign_id).recipients, Unit(origin, provider))]
    move = _Move(database, campaign_id, origin, reason, left)
    rows = move.movable(chosen, without, most)
    plan = _planned(rows, shares, move.origins_so_far())
    for start in range(0, len(plan), _TRANSACTION_ROWS):
        if not goes_on():
            break
        began = steady()
        part = plan[start : start + _TRANSACTION_ROWS]
        on_moved(part[0][0], move.carry_out(part))
        if start + _TRANSACTION_ROWS < len(plan):
            time.sleep(steady() - began)  # others may write for as long as this transaction did
    return {name: move.moved.get(name, 0) for name in shares}


def _planned(
    rows: Sequence[Sequence[Any]], shares: Mapping[str, Decimal], origins: Collection[str]
) -> list[tuple[int, str]]:
    """Choose each recipient's new connection, in send order.

    `rows` has the id of each recipient, and the connections that it left first and last. Where
    these differ, it may have left others in between, which are among all `origins` of moves.
    """
    from mailsluice.assignment.layout import lay_out  # numpy: nearly no campaign reassigns

    by_past: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for recipient_id, first, last in rows:
        by_past[first, last].append(recipient_id)
    plan: list[tuple[int, str]] = []
    for past, ids in by_past.items():
        left = past if past[0] == past[1] else {*past, *origins}
        names = [name for name, share in shares.items() if share > 0 and name not in left]
        if names:
            layout = lay_out(quotas(len(ids), [shares[name] for name in names])).tolist()
            plan += zip(sorted(ids), (names[route] for route in layout), strict=True)
    return sorted(plan)


class _Move:
    """One move of recipients from a connection to others, and its rows in `moves`."""

    def __init__(
        self,
        database: Database,
        campaign_id: int,
        origin: str,
        reason: MoveReason,
        left: int | None,
    ) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._origin = origin
        self._reason = reason
        self._recipients = recipients = tables_of(database, campaign_id).recipients
        self._is_mine = recipients.c.campaign_id == campaign_id
        self._may_move = (
            recipients.c.status == RecipientStatus.PENDING,
            recipients.c.attempts == 0,
        )
        self._ids: dict[str, int] = {}
        """The id of the move to each connection, in the order of these ids."""
        self._left = left
        """Recipients that the connection had to send to before the move."""
        self.moved: dict[str, int] = {}
        """Recipients that each connection has received."""
        given = rows_in(database, {"id": sa.BigInteger()})
        self._update = (
            sa.update(recipients)
            .where(
                # Without the campaign, which would have SQLite read its index on connections.
                recipients.c.id.in_(sa.select(given.c.id)),
                recipients.c.connection == origin,
                *self._may_move,
            )
            .values(
                connection=sa.bindparam("target"),
                move_id=sa.bindparam("move"),
                reassigned_from=sa.func.coalesce(recipients.c.reassigned_from, origin),
            )
        )

    def movable(
        self,
        chosen: Sequence[sa.ColumnElement[bool]],
        without: Collection[int],
        most: int | None,
    ) -> Sequence[Sequence[Any]]:
        """Read the recipients that may move: id, and the connections that they left."""
        recipients = self._recipients
        is_open = recipients.c.status.in_([status.value for status in OPEN])
        count = sa.select(sa.func.count()).where(
            self._is_mine, recipients.c.connection == self._origin, is_open
        )
        query = (
            sa.select(recipients.c.id, recipients.c.reassigned_from, moves.c.origin)
            .outerjoin_from(recipients, moves, moves.c.id == recipients.c.move_id)
            .where(self._is_mine, *chosen, *self._may_move)
        )
        if without:
            provider = sa.func.coalesce(recipients.c.provider, 0)
            query = query.where(provider.not_in([*without]))
        if most is not None:
            query = query.order_by(recipients.c.id.desc()).limit(most)
        with self._database.read() as reader:
            if self._left is None:
                self._left = reader.execute(count).scalar_one()
            return fetch(reader, self._database, query)

    def origins_so_far(self) -> Collection[str]:
        """The connections that recipients of the campaign have left."""
        query = sa.select(moves.c.origin).where(moves.c.campaign_id == self._campaign_id)
        with self._database.read() as reader:
            return set(reader.execute(query).scalars())

    def carry_out(self, part: Sequence[tuple[int, str]]) -> dict[str, int]:
        """Move these recipients, each to its connection, and record it, in one transaction.

        Returns how many each connection has received.
        """
        by_target: dict[str, list[int]] = defaultdict(list)
        for recipient_id, target in part:
            by_target[target].append(recipient_id)
        moved, ids = dict(self.moved), dict(self._ids)
        received: dict[str, int] = {}
        with self._database.write() as transaction:
            for target, chosen in by_target.items():
                if target not in ids:
                    begin = self._begin(target, chosen[0])
                    ids[target] = transaction.execute(begin).scalar_one()
                given = as_parameter((recipient_id,) for recipient_id in chosen)
                values = {**given, "target": target, "move": ids[target]}
                received[target] = transaction.execute(self._update, values).rowcount
                moved[target] = moved.get(target, 0) + received[target]
            self._record(transaction, ids, moved)
        self.moved, self._ids = moved, ids
        return received

    def _begin(self, target: str, first_id: int) -> Any:
        return (
            sa.insert(moves)
            .values(
                campaign_id=self._campaign_id,
                origin=self._origin,
                target=target,
                reason=self._reason.value,
                recipients=0,
                of=0,
                at=self._database.now,
                first_recipient_id=first_id,
            )
            .returning(moves.c.id)
        )

    def _record(
        self, transaction: sa.Connection, ids: dict[str, int], moved: Mapping[str, int]
    ) -> None:
        """Write the numbers of the moves so far, each with the recipients left before it."""
        left = max(self._left or 0, sum(moved.values()))
        for target, move_id in list(ids.items()):
            is_it = moves.c.id == move_id
            if moved[target]:
                values = {"recipients": moved[target], "of": left}
                transaction.execute(sa.update(moves).where(is_it).values(**values))
                left -= moved[target]
            else:  # senders were faster
                transaction.execute(sa.delete(moves).where(is_it))
                del ids[target]
