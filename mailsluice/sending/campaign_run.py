"""One run of a campaign: its lease and journal, what the last run left, its couriers."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailsluice.campaign import Campaign
from mailsluice.errors import CampaignBusyError
from mailsluice.journal import Journal, JournalBusyError
from mailsluice.message import CompiledMessage
from mailsluice.outbox import CampaignRecord, Campaigns, Counts, Database, Outbox, RouteRecord
from mailsluice.pacing import Pacer, limits, shared
from mailsluice.report import Report, RouteReport
from mailsluice.sending.bookkeeper import Bookkeeper
from mailsluice.sending.courier import Courier, OpenSession, Settings
from mailsluice.sending.engine import Engine
from mailsluice.sending.lease import Lease
from mailsluice.sending.recovery import Recovery, recover
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import open_session
from mailsluice.status import CampaignStatus

logger = logging.getLogger(__name__)


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
        self._journal = _open_journal(home, database, record)
        try:
            known = self._journal.evidence
            believed = known if known and known.journal_id == record.journal else None
            # The journal's lock is free: on this machine its last holder is dead.
            dead_owner = record.owner if believed else None
            self._lease = Lease(self.campaigns, self.id, owner, dead_owner)
        except BaseException:
            self._journal.close()
            raise
        try:
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
        self._results: dict[str, RouteResult] = {}
        self._stopping = False
        shares = campaign.shares()
        self._total_pacer = Pacer(limits(campaign.throttle))
        self._share_limits = shared(campaign.throttle, shares)

    def _write(self, recovery: Recovery) -> None:
        if recovery.settled or recovery.released:
            with self._database.write() as transaction:
                self.outbox.settle(transaction, recovery.settled)
                self.outbox.release(transaction, recovery.released)
            logger.info(
                "the last run died in the middle: %d messages had not gone out, of %d the reply is"
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
        open_session: OpenSession = open_session,
    ) -> RouteResult:
        """Send to the recipients of one connection, until none is left or `stop` is called."""
        engine = self._engine = self._engine or Engine()
        return await engine.run(self._send(connection, message, settings, open_session))

    async def _send(
        self,
        connection: Connection,
        message: CompiledMessage,
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
            open_session=open_session,
            may_send=self._lease.held,
            pacers=self._pacers(connection),
            settings=settings or Settings(self._campaign.retry, self._campaign.uncertain),
        )
        self._couriers[connection.name] = courier
        started = time.monotonic()
        if self._stopping:
            courier.stop()
        await courier.run()
        seconds = time.monotonic() - started
        result = RouteResult(connection.name, seconds, courier.sent, courier.down)
        self._results[connection.name] = result
        return result

    def _pacers(self, connection: Connection) -> Sequence[Pacer]:
        own = (*limits(connection), *self._share_limits.get(connection.name, ()))
        pacers = [Pacer(own)] if own else []
        return [*pacers, self._total_pacer] if limits(self._campaign.throttle) else pacers

    def stop(self) -> None:
        """Finish what is in flight, then end; may be called from any thread."""
        self._stopping = True
        if self._bookkeeper:
            self._bookkeeper.hurried = True
        if self._engine:
            for courier in list(self._couriers.values()):
                self._engine.call(courier.stop)

    def cancel(self) -> None:
        """End the campaign for good: who waits for his mail does not get it.

        Called when no connection is sending any more.
        """
        self.outbox.cancel()
        self.campaigns.set_status(self.id, CampaignStatus.CANCELLED)

    def report(self) -> Report:
        """Record where the campaign stands now, and say so.

        Called when no connection is sending any more.
        """
        orphans = self.outbox.in_doubt()  # of a claim whose commit a broken link did not confirm
        self._write(recover(orphans, self._journal.so_far(), self._campaign.uncertain))
        counts = self.outbox.counts()
        if self.campaigns.get(self._campaign.name).status is not CampaignStatus.CANCELLED:
            status = CampaignStatus.READY if counts.open else CampaignStatus.COMPLETED
            self.campaigns.set_status(self.id, status)
        record = self.campaigns.get(self._campaign.name)
        return Report(
            campaign=record.name,
            read_rows=record.read_rows,
            accepted=record.accepted,
            rejected={
                "duplicate": record.duplicates,
                "excluded": record.excluded,
                "suppressed": record.suppressed,
                "invalid": record.invalid,
            },
            routes=[self._route_report(route, counts) for route in self.campaigns.routes(self.id)],
        )

    def _route_report(self, route: RouteRecord, counts: Counts) -> RouteReport:
        result = self._results.get(route.connection)
        return RouteReport(
            route.connection,
            route.assigned,
            counts.by_connection.get(route.connection, {}),
            seconds=result.seconds if result else 0.0,
            sent_now=result.sent if result else 0,
            down=result.down if result else None,
        )

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


def _open_journal(home: Path, database: Database, record: CampaignRecord) -> Journal:
    identity = f"{database.engine.url.render_as_string()} {record.id} {record.name}"
    name = hashlib.sha256(identity.encode()).hexdigest()[:24]
    try:
        return Journal(home / "journals" / f"{name}.journal")
    except JournalBusyError as error:
        raise CampaignBusyError(record.name, record.owner or "another process") from error
