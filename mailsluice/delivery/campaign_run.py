"""A run of a campaign: its lease, its journal, and the recipients left in doubt before."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.moves import MoveReason, placed
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery.elsewhere import SendersElsewhere
from mailsluice.delivery.holders import note_holder
from mailsluice.delivery.journal import Journal, JournalBusyError
from mailsluice.delivery.lease import Lease
from mailsluice.delivery.moving_run import MovingRun
from mailsluice.delivery.recovery import Recovery, recover
from mailsluice.delivery.rule_book import bequeath
from mailsluice.delivery.run import RouteResult
from mailsluice.delivery.sender_pool import SenderPool
from mailsluice.reports.campaign import Report, RouteReport
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.reports.providers.counts import ProviderCounts
from mailsluice.reports.providers.queries import sent_by_provider
from mailsluice.reports.zones.counts import ZoneCounts
from mailsluice.reports.zones.queries import zone_counts
from mailsluice.stop_loss import UNKNOWN, Decision, Figures, Hold, Unit, add_figures
from mailsluice.store import (
    Bounces,
    CampaignRecord,
    Campaigns,
    Canaries,
    Database,
    Holds,
    Leases,
    Outbox,
    OutcomeFigures,
    SenderRecord,
    Summary,
)
from mailsluice.store.reassignment import reassign

logger = logging.getLogger(__name__)

_PROCESS = ", process "
"""Separates the run's name from its process in a lease's owner."""


class CampaignRun(MovingRun):
    """The only run of a campaign, from its construction until `close`.

    The run sends in its own process, or other processes send on its behalf (`senders`).

    The constructor registers the campaign, acquires the lease, and settles what a dead run left in
    doubt. Without `content` it takes the stored campaign of this name as it is. Raises
    CampaignError, CampaignDiffersError, CampaignBusyError or OutboxError. Blocking, except for the
    coroutines.
    """

    def __init__(
        self,
        database: Database,
        campaign: Campaign,
        content: Mapping[str, Any] | None,
        *,
        owner: str,
        home: Path,
    ) -> None:
        campaigns = Campaigns(database)
        self.home = home
        """The folder of the journals."""
        self._is_forbidden = False
        record = (
            campaigns.get(campaign.name)
            if content is None
            else campaigns.register(campaign.name, content)
        )
        path = _journal_path(home, database, record)
        journal = _open_journal(path, record)
        try:
            process = journal.id[:8]
            owner += _PROCESS + process  # Prefect may retry a run that still lives elsewhere
            earlier = note_holder(path.with_suffix(".holders"), process, journal)

            def is_alive(owner: str) -> bool | None:
                holder = earlier.get(owner.rpartition(_PROCESS)[2])
                return holder.is_alive(journal) if holder else None

            self._lease = Lease(Leases(database), record.id, owner, is_alive)
        except BaseException:
            journal.close()
            raise
        longest = campaign.retry.max_delay_seconds
        outbox = Outbox(database, record.id, longest_delay_seconds=longest)
        super().__init__(database, campaign, outbox, journal, record.id, self._lease.may_claim)
        self.summary = Summary(database, record.id)
        """The numbers for the list of campaigns."""
        self.senders = SenderPool(database, record.id, path.parent, campaign.uncertain)
        """The processes that send on behalf of this run."""
        self._figures_elsewhere: dict[Unit, Figures] = {}
        self.elsewhere: SendersElsewhere | None = None
        """Senders in other processes whose recipients may move to other connections."""
        self.on_handover_news: Callable[[], None] = lambda: None
        """Called, from any thread, when senders elsewhere should read what has moved."""
        try:
            self.summary.note_changes()
            record = self.campaigns.get(campaign.name)
            evidence = journal.evidence
            if evidence and evidence.journal_id != record.journal:
                evidence = None
            self.recovered = recover(self.outbox.in_doubt(), evidence, campaign.uncertain)
            self._write(self.recovered)
            for route in self.campaigns.routes(self.id):
                with database.write() as transaction:
                    bequeath(database, transaction, self.id, route.connection, journal.evidence)
            self.senders.take_over()
            journal.start()
            self.campaigns.set_journal(self.id, journal.id)
            if record.status is CampaignStatus.READY:
                self.campaigns.set_status(self.id, CampaignStatus.SENDING)
            self.hold(hold.unit for hold in Holds(database, self.id).active())
            self.record = self.campaigns.get(campaign.name)
        except BaseException:
            self._release()
            raise
        self._lease.on_lost(self.stop)

    def _write(self, recovery: Recovery) -> None:
        if recovery:
            with self._database.write() as transaction:
                recovery.write(self.outbox, transaction)
            logger.info("recipients left in the middle of sending: %s", recovery)

    def count(self) -> None:
        """Count the recipients in the database; `progress` adds to these counts. Blocking.

        Call it while no connection sends.
        """
        down = {name: result.down for name, result in self._results.items() if result.down}
        moves = self.campaigns.moves(self.id)
        assigned = {route.connection: route.assigned for route in self.campaigns.routes(self.id)}
        is_new = self.record.status is CampaignStatus.RESOLVING and not self._results
        counts = None if is_new else self.outbox.counts()
        accepted = self.campaigns.get(self._campaign.name).accepted if self._pool else 0
        self._tracker.begin(placed(assigned, moves), counts, down, moves, accepted)
        add_figures(self._figures_before, self._figures_elsewhere)
        self._figures_elsewhere = {}
        self.senders.begin()

    def sent_by_provider(self) -> ProviderCounts:
        """Count what was sent to each mailbox provider so far. Blocking."""
        return sent_by_provider(self._database, self.id)

    def counted_by_zone(self) -> list[ZoneCounts]:
        """Count the recipients of each time zone, if the sending window is by zone. Blocking."""
        return zone_counts(self._database, self.id)

    def read_senders(self) -> list[SenderRecord]:
        """Read the records of the senders, for `progress` and for `report`. Blocking."""
        self.senders.take_over()
        records = self.senders.records()
        standings, results = self.senders.standings(records), self.senders.results(records)
        self._tracker.set_elsewhere(standings)
        self._results.update(results)
        if self.elsewhere and self._engine:
            self._engine.call(self.elsewhere.see, standings, results)
        self._figures_elsewhere = self.senders.figures(records)
        return records

    async def figures(self) -> dict[Unit, Figures]:
        """Count the replies in this run, including those to the senders as last read."""
        figures = await super().figures()
        add_figures(figures, self._figures_elsewhere)
        return figures

    async def is_handing_over(self) -> bool:
        """Whether the recipients of a connection that has ended are still to go to others."""
        return await self.on_engine(self._is_handing_over())

    async def _is_handing_over(self) -> bool:
        return bool(self.handovers and self.handovers.leaving())

    def result(self, connection: str) -> RouteResult:
        """How a connection ended in this run, as far as `read_senders` has read."""
        return self._results.get(connection) or RouteResult(connection, 0.0, 0, None)

    def undecided(self) -> list[Hold]:
        """The parts of the campaign that an operator has to decide about. Blocking."""
        return Holds(self._database, self.id).undecided()

    def decide(self, hold: Hold, decision: Decision, target: str | None = None) -> None:
        """Carry out an operator's decision, and then record it: repeated, it does no harm.

        Call it while no connection sends. Blocking.
        """
        holds = Holds(self._database, self.id)
        origin, provider = hold.unit
        if decision is Decision.MOVE and target:
            moving = {target: Decimal(1)}
            reason = MoveReason.HELD
            reassign(self._database, self.id, origin, moving, provider=provider, reason=reason)
        if decision is not Decision.STOP and provider is None:
            Canaries(self._database, self.id).decide(origin)
        holds.decide(hold.id, decision, target, self._figures_of(hold.unit))
        holds.cancel_stopped()
        self._held = frozenset(held.unit for held in holds.active())

    def _figures_of(self, unit: Unit) -> dict[int, Figures]:
        """The figures so far, also of messages that were on their way when a part was held."""
        outcomes = OutcomeFigures(self._database, self.id)
        figures = outcomes.settled(unit.connection)
        add_figures(figures, outcomes.later(unit.connection))
        return {
            one.provider or UNKNOWN: counts
            for one, counts in figures.items()
            if unit in (one, one.whole)
        }

    def forbid(self) -> None:
        self._lease.confirm()
        self.campaigns.set_status(self.id, CampaignStatus.CANCELLED)
        self._is_forbidden = True

    def cancel(self) -> None:
        """End the campaign for good: recipients that wait get no mail.

        Call it when no connection sends any more. Raises CampaignBusyError where another run has
        taken the campaign over.
        """
        self._lease.confirm()
        self._settle_orphans()
        if self.outbox.cancel():
            self.campaigns.set_status(self.id, CampaignStatus.CANCELLED)
        elif self._is_forbidden:  # the Cancel came with the last messages on their way
            self.campaigns.set_status(self.id, CampaignStatus.COMPLETED)

    def report(self) -> Report:
        """Store the campaign's new status, and report what became of its recipients.

        Call it when no connection sends any more. Raises CampaignBusyError where another run has
        taken the campaign over, whose status this run must not change.
        """
        self._lease.confirm()
        self._settle_orphans()
        Holds(self._database, self.id).cancel_stopped()
        returned = Bounces(self._database)
        returned.suppress_soft(returned.soft_of(self.id))
        changes, counts = self.summary.changes(), self.outbox.counts()
        if self.campaigns.get(self._campaign.name).status is not CampaignStatus.CANCELLED:
            status = CampaignStatus.READY if counts.open else CampaignStatus.COMPLETED
            self.campaigns.set_status(self.id, status)
        record = self.campaigns.get(self._campaign.name)
        if record.status is not CampaignStatus.READY:
            self._rule_book.forget()
        report = stored_report(self._database, record.name)
        report = replace(report, routes=[self._with_this_run(route) for route in report.routes])
        self.summary.counted(counts.of(RecipientStatus.SENT), changes, report.per_second)
        return report

    def _settle_orphans(self) -> None:
        """Decide about recipients that are `sending` although no connection sends.

        Their claim or their outcome was in a commit that a broken link did not confirm.
        """
        orphans = self.outbox.in_doubt()
        self._write(recover(orphans, self._journal.so_far(), self._campaign.uncertain))
        self.senders.take_over()

    def _with_this_run(self, route: RouteReport) -> RouteReport:
        result = self._results.get(route.connection)
        if result is None:
            return route
        return replace(route, seconds=result.seconds, sent_now=result.sent, down=result.down)

    def _is_held(self) -> bool:
        return self._lease.held()

    def _release(self) -> None:
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
