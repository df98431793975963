"""A run whose recipients may move from one connection to another, also while they are sent to."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from mailsluice.campaign import Campaign
from mailsluice.core.moves import MoveReason
from mailsluice.delivery.failover import Condition, takers
from mailsluice.delivery.group_commit import MayClaim
from mailsluice.delivery.handovers import Handovers
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.run import Run
from mailsluice.smtp.connection import Connection
from mailsluice.stop_loss import Unit
from mailsluice.store import Campaigns, Canaries, Database, Outbox, WarmUps, launched_shares
from mailsluice.store.reassignment import reassign
from mailsluice.store.trouble import DatabaseError


class MovingRun(Run):
    """Moves recipients, one move at a time, and has the connections of this process follow."""

    def __init__(
        self,
        database: Database,
        campaign: Campaign,
        outbox: Outbox,
        journal: Journal,
        campaign_id: int,
        may_claim: MayClaim,
    ) -> None:
        super().__init__(database, campaign, outbox, journal, campaign_id, may_claim=may_claim)
        self.campaigns = Campaigns(database)
        self.connections_elsewhere: Mapping[str, Connection] = {}
        """The present settings of the connections that other processes send over."""
        self._moving = threading.Lock()
        self._is_unconfirmed = False
        """Whether the database has failed during the last move."""

    def await_moves(self) -> None:
        """Wait for the end of the move that is under way, if there is one. Blocking."""
        with self._moving:
            pass

    def _moved(
        self,
        origin: str,
        taking: Mapping[str, Decimal],
        reason: MoveReason,
        without: Collection[int],
        most: int | None = None,
        left: int | None = None,
    ) -> dict[str, int]:
        """Move recipients until the run is to stop, see `reassign`."""
        with self._moving:
            try:
                moved = reassign(
                    self._database,
                    self.id,
                    origin,
                    taking,
                    without=without,
                    most=most,
                    left=left,
                    reason=reason,
                    on_moved=self._on_moved,
                    goes_on=lambda: not self._stopping,
                )
            except DatabaseError:  # the last commit may have taken effect
                self._is_unconfirmed = True
                if self.handovers and self._engine:
                    self._engine.call(self._receive, self.handovers, 0, [*taking])
                raise
            if self._is_unconfirmed:
                self._on_moved(0, ())
        if self._is_unconfirmed or any(moved.values()):
            self._follow_shares()
            self._is_unconfirmed = False
        return {name: number for name, number in moved.items() if number}

    def takers(
        self, origin: str, conditions: Mapping[str, Condition], *, rest: bool = True
    ) -> dict[str, Decimal]:
        """Choose who would take over the recipients of a connection, with weights. Blocking.

        None are connections in warm-up, whose caps are planned, those that have given recipients
        away because they were down, and those where something is held: an operator decides about
        the recipients that were seen. Standbys have no canary, so they take over only what no
        canary holds back. See `failover.takers`.
        """
        if Unit(origin) in self._held:
            return {}
        moves = self.campaigns.moves(self.id)
        gave = {move.origin for move in moves if move.reason is MoveReason.DOWN}
        planned = {warm_up.connection for warm_up in WarmUps(self._database).of_campaign(self.id)}
        known = {**self.connections_elsewhere, **self._connections}
        cold = {name for name, used in known.items() if self._rule_book.warms_up(used)}
        held = {unit.connection for unit in self._held}
        shares = launched_shares(self.campaigns.routes(self.id))
        barred = {origin, *gave, *planned, *cold, *held}
        undecided = {canary.connection for canary in Canaries(self._database, self.id).undecided()}
        standbys = () if origin in undecided else self._campaign.standbys
        return takers(conditions, shares, standbys, barred, rest=rest)

    def hand_over(self, origin: str, taking: Mapping[str, Decimal]) -> dict[str, int]:
        """Move the recipients of a connection that is down, or rests, to others. Blocking.

        Only recipients that were never attempted move, except for those that are held. The others
        may send meanwhile; all connections then have new shares of the campaign's limits. Returns
        how many each connection got.
        """
        stay = {unit.provider or 0 for unit in self._held if unit.connection == origin}
        return self._moved(origin, taking, MoveReason.DOWN, stay)

    def lend(
        self, origin: str, target: str, most: int, *, left: int, without: Collection[int] = ()
    ) -> int:
        """Move the last recipients of a connection to one that has room. Blocking.

        Only recipients that were never attempted move, and none of a part that is held on either
        connection.

        Args:
            origin: The connection that would end later.
            target: The connection that has room.
            most: At most so many move.
            left: How many recipients the origin has to send to.
            without: The recipients of mailbox providers with these numbers stay.

        Returns:
            How many have moved.
        """
        held = [unit for unit in self._held if unit.connection in (origin, target)]
        if any(unit == unit.whole for unit in held):
            return 0
        stay = {*without, *(unit.provider or 0 for unit in held)}
        taking = {target: Decimal(1)}
        moved = self._moved(origin, taking, MoveReason.LENT, stay, most, left)
        return moved.get(target, 0)

    def room(self, connection: Connection, seconds: float, most: int) -> int:
        """Count the messages, at most `most`, that limits let start within `seconds`. Blocking."""
        return self._rule_book.room(connection, seconds, most)

    def _on_moved(self, lowest_id: int, received: Iterable[str]) -> None:
        """Count the move, and have connections of this process send to what they have received."""
        if self.handovers and self._engine:
            self._engine.call(self._tracker.moved, self.campaigns.moves(self.id))
            self._engine.call(self._receive, self.handovers, lowest_id, [*received])

    def _receive(self, handovers: Handovers, lowest_id: int, names: Iterable[str]) -> None:
        if self._store:
            self._store.rescan(lowest_id)
        handovers.receive(names)

    def _follow_shares(self) -> None:
        """Have all connections use their shares of the campaign's limits after a move."""
        for name in list(self._connection_senders):
            self._follow_rules(self._connections[name])

    def may_move_to(self, unit: Unit) -> list[str]:
        """The connections that may take over the recipients of a held part. Blocking.

        A connection in warm-up may not, since its caps are planned, nor one where any of these
        recipients would be held again.
        """
        warm_ups = {warm_up.connection for warm_up in WarmUps(self._database).of_campaign(self.id)}
        names = [route.connection for route in self.campaigns.routes(self.id)]
        held = {
            other.connection
            for other in self._held
            if None in (other.provider, unit.provider) or other.provider == unit.provider
        }
        taken = {unit.connection, *warm_ups, *held}
        return [name for name in names if name not in taken]
