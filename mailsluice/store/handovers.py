"""Moves between connections, as the senders of a campaign in any process have to know them.

The campaign's run says which connections may still get recipients (`campaigns.takers`), and each
move tells the lowest recipient that it moved (`moves.first_recipient_id`). A sender reads both when
it renews its lease.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns, moves


@dataclass(frozen=True, slots=True)
class MovesSoFar:
    """The moves of a campaign, as they concern one connection."""

    in_all: int = 0
    """How many recipients have moved in the campaign."""
    received: int = 0
    """How many of them the connection got."""
    last_id: int = 0
    """The id of the last move to the connection; 0 where there is none."""
    first_recipient: int | None = None
    """The lowest recipient of the moves to the connection that were asked for, if it is known."""


class HandoverRecords:
    """The handovers of one campaign. Blocking."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._is_mine = campaigns.c.id == campaign_id

    def publish(self, takers: Iterable[str]) -> None:
        """Record the connections that may still get recipients of others."""
        names = orjson.dumps(sorted(takers)).decode()
        with self._database.write() as transaction:
            transaction.execute(sa.update(campaigns).where(self._is_mine).values(takers=names))

    def may_receive(self, connection: str) -> bool:
        """Whether a connection may still get recipients, as a run says that holds its lease."""
        lives = campaigns.c.lease_until > self._database.now
        query = sa.select(campaigns.c.takers).where(self._is_mine, lives)
        with self._database.read() as reader:
            takers = reader.execute(query).scalar_one_or_none()
        return connection in orjson.loads(takers or "[]")

    def moves(self, connection: str, since_id: int = 0) -> MovesSoFar:
        """The moves so far; `first_recipient` is that of the moves with an id from `since_id` on.

        A move may still grow after it was read, since many recipients move in several transactions.
        """
        is_here = moves.c.target == connection
        is_new = sa.and_(is_here, moves.c.id >= since_id)
        recipients = moves.c.recipients
        query = sa.select(
            sa.func.coalesce(sa.func.sum(recipients), 0),
            sa.func.coalesce(sa.func.sum(sa.case((is_here, recipients))), 0),
            sa.func.coalesce(sa.func.max(sa.case((is_here, moves.c.id))), 0),
            sa.func.min(sa.case((is_new, moves.c.first_recipient_id))),
        ).where(moves.c.campaign_id == self._campaign_id)
        with self._database.read() as reader:
            in_all, received, last_id, first = reader.execute(query).one()
        return MovesSoFar(int(in_all), int(received), last_id, first)
