"""The run of a sender: a process that shares the recipients of one connection with others.

No recipients are distributed to these senders. Each sender claims what it can send in a quarter of
a second (with SKIP LOCKED on PostgreSQL) under its own row in `senders`, and writes that row's id
into `recipients.claimed_by`. A claim updates the row and a take-over marks it, so the two exclude
each other: a sender that was taken for dead can claim no more recipients. A sender is done when it
finds no recipient and no other sender holds one, since the recipients of a sender that dies return
to the others. Senders know about each other by their rows alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError, JournalError
from mailsluice.core.status import CampaignStatus
from mailsluice.core.steady import steady
from mailsluice.delivery.engine import Engine
from mailsluice.delivery.handovers import Handovers
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.recovery import recover
from mailsluice.delivery.renewal import Renewal
from mailsluice.delivery.run import Run
from mailsluice.delivery.silence import Silence
from mailsluice.delivery.standing import dumped
from mailsluice.delivery.take_over import journal_path, take_over
from mailsluice.store import Campaigns, Database, Ending, Holds, Outbox, Senders, Transaction
from mailsluice.store.handovers import HandoverRecords, MovesSoFar
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

_RENEW_SECONDS = 5.0
_ENGINE_SECONDS = 2.0
_OTHERS = ""
"""The other connections of the campaign, of which the campaign's run knows more."""
_SENT = (CampaignStatus.READY, CampaignStatus.SENDING)


class SenderRun(Run):
    """Sends over one connection of a launched campaign, from its construction until `close`.

    Any number of senders may work at once, on any machine: each claims recipients for itself, and
    takes over those of senders that died. Raises CampaignError where the campaign is not to be
    sent, or OutboxError. Blocking, except for the coroutines.
    """

    def __init__(
        self,
        database: Database,
        campaign: Campaign,
        connection: str,
        *,
        owner: str,
        home: Path,
        engine: Engine | None = None,
    ) -> None:
        """`engine` is one that several runs of a process share."""
        self.record = Campaigns(database).get(campaign.name)
        if self.record.status not in _SENT:
            raise CampaignError(
                f"campaign {campaign.name!r} is {self.record.status.value}: nothing is sent"
            )
        self._connection = connection
        self._folder = home / "journals"
        self._path = journal_path(self._folder, journal_id := uuid4().hex)
        journal = Journal(self._path, journal_id)
        self._senders = Senders(database, self.record.id)
        taken_at = steady()
        try:
            journal.start()
            self._sender_id = self._senders.begin(connection, owner, journal.id)
        except BaseException:
            journal.close()
            self._path.unlink()
            raise
        longest = campaign.retry.max_delay_seconds
        outbox = Outbox(database, self.record.id, self._sender_id, longest_delay_seconds=longest)
        shared_by = None if outbox.is_pooled else connection
        peers = _Peers(self._senders, self._sender_id, shared_by)
        super().__init__(database, campaign, outbox, journal, self.record.id, peers, engine=engine)
        self._tracker.begin({connection: 0}, None, {})
        self._records = HandoverRecords(database, self.record.id)
        self._moves = MovesSoFar()
        if campaign.may_hand_over:
            self._moves = self._records.moves(connection)
            if self._records.may_receive(connection):
                self.handovers = Handovers([connection, _OTHERS], [connection])
        self._holds = Holds(database, self.record.id)
        self.hold(hold.unit for hold in self._holds.active())
        self._has_ended = False
        self._reading = threading.Lock()
        self._silence = Silence()
        self._renewal = Renewal(
            self._renew, taken_at=taken_at, every_seconds=_RENEW_SECONDS, name="sender"
        )
        self._renewal.on_lost(self.stop)

    async def end(self, ending: Ending, next_in_seconds: float | None = None) -> None:
        """Record how the sender ended; it sends nothing more. Raises SenderLostError."""
        standing = dumped((await self.progress()).standings[0], await self.figures())
        await asyncio.to_thread(self._end, ending, standing, next_in_seconds)

    def _end(self, ending: Ending, standing: str, next_in_seconds: float | None) -> None:
        self._renewal.close()
        # Recipients whose claim was in a commit that a broken link did not confirm.
        orphans = recover(self.outbox.in_doubt(), self._journal.so_far(), self._campaign.uncertain)
        with self._database.write() as transaction:
            orphans.write(self.outbox, transaction)
        result = self._results.get(self._connection)
        self._senders.end(
            self._sender_id,
            ending,
            standing=standing,
            detail=result.down if result else None,
            next_in_seconds=next_in_seconds,
        )
        self._has_ended = True

    def _renew(self) -> None:
        self._senders.renew(self._sender_id, self._standing())
        try:
            self._take_over()
            self.hold(hold.unit for hold in self._holds.active())
            self._read_moves()
        except (DatabaseError, OSError, JournalError) as error:
            # The lease is renewed all the same, and the next renewal tries again.
            logger.warning("the search for dead senders failed: %s", type(error).__name__)

    def _take_over(self) -> None:
        policy = self._campaign.uncertain
        dead = take_over(
            self._database, self.id, self._folder, policy, self._sender_id, self._silence
        )
        if dead and self._store:
            self._store.rescan()

    async def look(self) -> None:
        """Read at once whether recipients have moved here, or may still do so."""
        with suppress(DatabaseError):  # the next renewal tries again
            await asyncio.to_thread(self._read_moves)

    def _read_moves(self) -> None:
        if not self._campaign.may_hand_over:
            return
        with self._reading:
            may_receive = self._records.may_receive(self._connection)
            before, self._moves = (
                self._moves,
                self._records.moves(self._connection, self._moves.last_id),
            )
        if self._moves.received > before.received and self._store:
            self._store.rescan(self._moves.first_recipient or 0)
        if self.handovers and self._engine:
            if self._moves.received > before.received:
                self._engine.call(self.handovers.receive, [self._connection])
            if not may_receive:
                self.end_handovers()
        if self._moves.in_all > before.in_all and self.sends_over(self._connection):
            self._follow_rules(self._connections[self._connection])

    def _standing(self) -> str | None:
        if self._engine is None:
            return None
        try:
            return self._engine.submit(self._dumped()).result(_ENGINE_SECONDS)
        except TimeoutError:
            return None

    async def _dumped(self) -> str:
        return dumped((await self._progress()).standings[0], self._figures())

    async def close(self) -> None:
        await asyncio.to_thread(self._renewal.close)  # first, since it calls the engine
        await super().close()

    def _is_held(self) -> bool:
        return self._renewal.held()

    def _release(self) -> None:
        self._journal.close()
        if self._has_ended:  # otherwise other senders read in it whose message was sent
            self._path.unlink(missing_ok=True)


class _Peers:
    """The other senders of the same connection, or of the same pool. Implements `Peers`."""

    def __init__(self, senders: Senders, sender_id: int, connection: str | None) -> None:
        self._senders = senders
        self._sender_id = sender_id
        self._connection = connection

    def may_claim(self, transaction: Transaction) -> bool:
        return self._senders.claiming(transaction, self._sender_id)

    def idle(self, transaction: Transaction) -> None:
        self._senders.idle(transaction, self._sender_id)

    def are_busy(self, transaction: Transaction) -> bool:
        return self._senders.others_are_busy(transaction, self._sender_id, self._connection)
