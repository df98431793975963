"""One run of a campaign: its lease and journal, what the last run left, its couriers."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mailsluice.campaign import Campaign
from mailsluice.errors import CampaignBusyError
from mailsluice.journal import Journal, JournalBusyError
from mailsluice.message import CompiledMessage
from mailsluice.outbox import (
    Bounces,
    CampaignRecord,
    Campaigns,
    Database,
    Outbox,
    WarmUps,
)
from mailsluice.outbox.reassignment import reassign
from mailsluice.outbox.reports import stored_report
from mailsluice.pacing import Rules
from mailsluice.progress import Facts, Progress
from mailsluice.report import Report, RouteReport
from mailsluice.sending.bookkeeper import Bookkeeper
from mailsluice.sending.courier import Courier, OpenSession, Settings
from mailsluice.sending.engine import Engine
from mailsluice.sending.holders import take_turn
from mailsluice.sending.lease import Lease
from mailsluice.sending.opening_hours import OpeningHours
from mailsluice.sending.progress import Onlooker
from mailsluice.sending.recovery import Recovery, recover
from mailsluice.sending.rule_book import RuleBook
from mailsluice.smtp.connection import Connection, differences
from mailsluice.smtp.login import open_session
from mailsluice.smtp.tokens import Tokens
from mailsluice.status import CampaignStatus

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5

_Result = TypeVar("_Result")
_PROCESS = ", process "
"""Tells one process's lease from another's, at the end of the owner's name."""


@dataclass(frozen=True, slots=True)
class RouteResult:
    """How the sending of one connection ended."""

    connection: str
    seconds: float
    sent: int
    """Messages accepted in this run."""
    down: str | None
    """Why the connection was given up; None where it worked to the end."""


class CampaignRun:
    """The only run that sends this campaign, from its making until `close`.

    Making it registers the campaign, takes the lease, and settles what a dead run left in doubt.
    Raises CampaignDiffersError, CampaignBusyError or OutboxError. Blocking; `send` is not.
    """

    def __init__(
        self,
        database: Database,
        campaign: Campaign,
        content: Mapping[str, Any],
        *,
        owner: str,
        home: Path,
    ) -> None:
        self._campaign = campaign
        self.campaigns = Campaigns(database)
        record = self.campaigns.register(campaign.name, content)
        self.id = record.id
        self.outbox = Outbox(database, self.id)
        self._database = database
        path = _journal_path(home, database, record)
        self._journal = _open_journal(path, record)
        try:
            process = self._journal.id[:8]
            owner += _PROCESS + process  # a run may be tried again while it lives elsewhere
            holder = (record.owner or "").rpartition(_PROCESS)[2]
            is_dead = holder in take_turn(path.with_suffix(".holders"), process)
            self._lease = Lease(self.campaigns, self.id, owner, record.owner if is_dead else None)
        except BaseException:
            self._journal.close()
            raise
        try:
            record = self.campaigns.get(campaign.name)
            known = self._journal.evidence
            believed = known if known and known.journal_id == record.journal else None
            self.recovered = recover(self.outbox.in_doubt(), believed, campaign.uncertain)
            self._write(self.recovered)
            self._journal.start()
            self.campaigns.set_journal(self.id, self._journal.id)
            if record.status is CampaignStatus.READY:
                self.campaigns.set_status(self.id, CampaignStatus.SENDING)
            self.record = self.campaigns.get(campaign.name)
        except BaseException:
            self._lease.close()
            self._journal.close()
            raise
        self._engine: Engine | None = None
        self._bookkeeper: Bookkeeper | None = None
        self._couriers: dict[str, Courier] = {}
        self._connections: dict[str, Connection] = {}
        self._rules_of: dict[str, dict[str, Rules]] = {}
        """Both as each courier has them."""
        self._results: dict[str, RouteResult] = {}
        self._onlooker = Onlooker(campaign.name)
        self._stopping = False
        self._hours = OpeningHours(campaign.sending_window)
        self._rule_book = RuleBook(database, self.id, campaign.throttle)
        self.tokens = Tokens()
        self.open_session: OpenSession = partial(open_session, tokens=self.tokens)
        """Opens a session; those of one connection share an access token."""
        self.on_hold = False
        """Whether to send nothing for the time being; what is in flight is finished."""
        self._lease.on_lost(self.stop)

    def _write(self, recovery: Recovery) -> None:
        if recovery.settled or recovery.released:
            with self._database.write() as transaction:
                self.outbox.settle(transaction, recovery.settled)
                self.outbox.release(transaction, recovery.released)
            logger.info(
                "left in the middle of sending: %d messages had not gone out, of %d the reply is"
                " known, %d are uncertain",
                len(recovery.released),
                len(recovery.settled) - recovery.uncertain,
                recovery.uncertain,
            )

    async def send(
        self,
        connection: Connection,
        message: CompiledMessage,
        *,
        settings: Settings | None = None,
        open_session: OpenSession | None = None,
    ) -> RouteResult:
        """Send to the recipients of one connection, until none is left or `stop` is called."""
        rules = await asyncio.to_thread(self._rule_book.rules, connection)
        opening = open_session or self.open_session
        return await self.on_engine(self._send(connection, message, rules, settings, opening))

    async def on_engine(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Do work on the loop that sends: what `open_session` shares with its caller."""
        engine = self._engine = self._engine or Engine()
        return await engine.run(work)

    async def _send(
        self,
        connection: Connection,
        message: CompiledMessage,
        rules: dict[str, Rules],
        settings: Settings | None,
        open_session: OpenSession,
    ) -> RouteResult:
        if self._bookkeeper is None:
            self._bookkeeper = Bookkeeper(self._database, self.outbox, self._journal)
        courier = Courier(
            connection,
            message,
            self._bookkeeper,
            self._journal,
            holder=f"{self._journal.id} {connection.name}",
            open_session=open_session,
            rules=rules,
            opens_at=self._opens_at,
            settings=settings or Settings(self._campaign.retry, self._campaign.uncertain),
        )
        self._couriers[connection.name] = courier
        self._onlooker.watch(connection.name, courier)
        self._connections[connection.name] = connection
        self._rules_of[connection.name] = rules
        started = time.monotonic()
        if self._stopping:
            courier.stop()
        await courier.run()
        seconds, sent = time.monotonic() - started, courier.sent
        if before := self._results.get(connection.name):  # it got more to send
            seconds, sent = seconds + before.seconds, sent + before.sent
        result = RouteResult(connection.name, seconds, sent, courier.down)
        self._results[connection.name] = result
        return result

    def _opens_at(self, now: float) -> float:
        """When, from a moment of the monotonic clock on, mail may go at all."""
        if self.on_hold or not self._lease.held():
            return now + _POLL_SECONDS
        return self._hours.opens_at(now)

    async def next_in(self) -> float:
        """In how many seconds a connection has something to do; infinity: never."""
        return await self._engine.run(self._next_in()) if self._engine else 0.0

    async def _next_in(self) -> float:
        now = time.monotonic()
        return min((one.next_at(now) - now for one in self._couriers.values()), default=0.0)

    def count(self) -> None:
        """Look where the recipients stand: `progress` counts on from there. Blocking.

        Called when no connection is sending.
        """
        down = {name: one.down for name, one in self._results.items() if one.down}
        assigned = {one.connection: one.assigned for one in self.campaigns.routes(self.id)}
        is_new = self.record.status is CampaignStatus.RESOLVING and not self._results
        self._onlooker.begin(assigned, None if is_new else self.outbox.counts(), down)

    async def progress(self) -> Progress:
        """Where the campaign stands, and what each connection waits for; without the database."""
        return await self.on_engine(self._progress())

    async def _progress(self) -> Progress:
        now = time.monotonic()

        def complete(facts: Facts) -> Facts:
            return replace(
                facts,
                is_on_hold=self.on_hold,
                is_database_away=not self._lease.held() or self._is_away(),
                opens_at=self._hours.opens_at(now),
            )

        return self._onlooker.look(complete, now, datetime.now(UTC))

    def _is_away(self) -> bool:
        return self._bookkeeper is not None and self._bookkeeper.away

    async def update(self, connection: Connection) -> list[str]:
        """Go on sending with what has changed in a connection, or in what day it is for a warm-up.

        Limits hold from the next message on, all else from the next session on. Gives what has
        changed, as it may be told; nothing where the connection does not send yet.
        """
        name = connection.name
        if self._engine is None or name not in self._couriers:
            return []
        changed = differences(self._connections[name], connection)
        if changed or connection.warm_up.start:
            rules = await asyncio.to_thread(self._rule_book.rules, connection)
            if changed or rules != self._rules_of[name]:
                self._connections[name], self._rules_of[name] = connection, rules
                self._engine.call(self._couriers[name].update, connection, rules)
        return changed

    def stop(self) -> None:
        """Finish what is in flight, then end; may be called from any thread."""
        self._stopping = True
        if self._bookkeeper:
            self._bookkeeper.hurried = True
        if self._engine:
            for courier in list(self._couriers.values()):
                self._engine.call(courier.stop)

    def reassign(self) -> set[str]:
        """Move who waits on a connection that is down to those that work, in proportion.

        One that warms up takes nobody over: its cap is planned.
        Called when no connection is sending any more. Returns the connections that have more to
        send now.
        """
        down = [one.connection for one in self._results.values() if one.down]
        shares = self._rule_book.shares()
        warm_ups = {one.connection for one in WarmUps(self._database).of_campaign(self.id)}
        healthy = {
            name: share
            for name, share in shares.items()
            if name not in down and name not in warm_ups and share > 0
        }
        moved: Counter[str] = Counter()
        for name in down if healthy else ():
            moved.update(reassign(self._database, self.id, name, healthy))
        if moved.total():
            logger.warning(
                "%s down: %d recipients that were never attempted go over other connections",
                ", ".join(down),
                moved.total(),
            )
            self.count()
        return {name for name, number in moved.items() if number}

    def cancel(self) -> None:
        """End the campaign for good: who waits for his mail does not get it.

        Called when no connection is sending any more. Raises CampaignBusyError where another run
        has taken the campaign over meanwhile.
        """
        self._lease.confirm()
        self._settle_orphans()
        if self.outbox.cancel():  # else it was complete before
            self.campaigns.set_status(self.id, CampaignStatus.CANCELLED)

    def report(self) -> Report:
        """Record where the campaign stands now, and say so.

        Called when no connection is sending any more. Raises CampaignBusyError where another run
        has taken the campaign over meanwhile: then it is not ours to judge.
        """
        self._lease.confirm()
        self._settle_orphans()
        returned = Bounces(self._database)
        returned.suppress_soft(returned.soft_of(self.id))
        counts = self.outbox.counts()
        if self.campaigns.get(self._campaign.name).status is not CampaignStatus.CANCELLED:
            status = CampaignStatus.READY if counts.open else CampaignStatus.COMPLETED
            self.campaigns.set_status(self.id, status)
        record = self.campaigns.get(self._campaign.name)
        if record.status is not CampaignStatus.READY:
            self._rule_book.forget()
        found = stored_report(self._database, record.name)
        return replace(found, routes=[self._with_this_run(one) for one in found.routes])

    def _settle_orphans(self) -> None:
        """Decide about who is `sending` although no connection is.

        Their claim, or what became of them, was in a commit that a broken link did not confirm.
        """
        orphans = self.outbox.in_doubt()
        self._write(recover(orphans, self._journal.so_far(), self._campaign.uncertain))

    def _with_this_run(self, route: RouteReport) -> RouteReport:
        result = self._results.get(route.connection)
        if result is None:
            return route
        return replace(route, seconds=result.seconds, sent_now=result.sent, down=result.down)

    async def close(self) -> None:
        """Commit what is left, end the engine, give back lease and journal."""
        if self._engine and self._bookkeeper:
            await self._engine.run(self._bookkeeper.close())
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._engine:
            self._engine.close()
        self._lease.close()
        self._journal.close()


def _journal_path(home: Path, database: Database, record: CampaignRecord) -> Path:
    identity = f"{database.engine.url.render_as_string()} {record.id} {record.name}"
    name = hashlib.sha256(identity.encode()).hexdigest()[:24]
    return home / "journals" / f"{name}.journal"


def _open_journal(path: Path, record: CampaignRecord) -> Journal:
    try:
        return Journal(path)
    except JournalBusyError as error:
        raise CampaignBusyError(record.name, record.owner or "another process") from error
