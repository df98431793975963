"""One run of a campaign: its lease and journal, what the last run left, its connection senders."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.moves import placed
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery.holders import take_turn
from mailsluice.delivery.journal import Journal, JournalBusyError
from mailsluice.delivery.lease import Lease
from mailsluice.delivery.recovery import Recovery, recover
from mailsluice.delivery.run import Run
from mailsluice.delivery.sender_pool import SenderPool
from mailsluice.reports.campaign import Report, RouteReport
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.store import (
    Bounces,
    CampaignRecord,
    Campaigns,
    Database,
    Leases,
    Outbox,
    SenderRecord,
    WarmUps,
    launched_shares,
)
from mailsluice.store.reassignment import reassign

logger = logging.getLogger(__name__)

_PROCESS = ", process "
"""Tells one process's lease from another's, at the end of the owner's name."""


class CampaignRun(Run):
    """The only run of this campaign, from its making until `close`.

    It sends by itself, or has senders do it (`crew`).

    Making it registers the campaign, takes the lease, and settles what a dead run left in doubt.
    Without `content` it takes the stored campaign of this name as it is. Raises CampaignError,
    CampaignDiffersError, CampaignBusyError or OutboxError. Blocking; `send` is not.
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
        self.campaigns = Campaigns(database)
        record = (
            self.campaigns.get(campaign.name)
            if content is None
            else self.campaigns.register(campaign.name, content)
        )
        path = _journal_path(home, database, record)
        journal = _open_journal(path, record)
        try:
            process = journal.id[:8]
            owner += _PROCESS + process  # a run may be tried again while it lives elsewhere
            before = take_turn(path.with_suffix(".holders"), process, journal)

            def lives(other: str) -> bool | None:
                holder = before.get(other.rpartition(_PROCESS)[2])
                return holder.lives(journal) if holder else None

            self._lease = Lease(Leases(database), record.id, owner, lives)
        except BaseException:
            journal.close()
            raise
        longest = campaign.retry.max_delay_seconds
        outbox = Outbox(database, record.id, longest_delay_seconds=longest)
        claiming = self._lease.claiming
        super().__init__(database, campaign, outbox, journal, record.id, claiming=claiming)
        self.crew = SenderPool(database, record.id, path.parent, campaign.uncertain)
        """The processes that send on its behalf."""
        try:
            record = self.campaigns.get(campaign.name)
            known = journal.evidence
            believed = known if known and known.journal_id == record.journal else None
            self.recovered = recover(self.outbox.in_doubt(), believed, campaign.uncertain)
            self._write(self.recovered)
            self.crew.take_over()
            journal.start()
            self.campaigns.set_journal(self.id, journal.id)
            if record.status is CampaignStatus.READY:
                self.campaigns.set_status(self.id, CampaignStatus.SENDING)
            self.record = self.campaigns.get(campaign.name)
        except BaseException:
            self._let_go()
            raise
        self._lease.on_lost(self.stop)

    def _write(self, recovery: Recovery) -> None:
        if recovery:
            with self._database.write() as transaction:
                recovery.write(self.outbox, transaction)
            logger.info("left in the middle of sending: %s", recovery)

    def count(self) -> None:
        """Look where the recipients stand: `progress` counts on from there. Blocking.

        Called when no connection is sending.
        """
        down = {name: one.down for name, one in self._results.items() if one.down}
        moves = self.campaigns.moves(self.id)
        assigned = {one.connection: one.assigned for one in self.campaigns.routes(self.id)}
        is_new = self.record.status is CampaignStatus.RESOLVING and not self._results
        counts = None if is_new else self.outbox.counts()
        self._tracker.begin(placed(assigned, moves), counts, down, moves)
        self.crew.begin()

    def hear(self) -> list[SenderRecord]:
        """See how its senders get on: for `progress`, and for `report`. Blocking."""
        self.crew.take_over()
        records = self.crew.records()
        self._tracker.hear(self.crew.standings(records))
        self._results.update(self.crew.results(records))
        return records

    def reassign(self) -> set[str]:
        """Move who waits on a connection that is down to those that work, in proportion.

        One that warms up takes nobody over: its cap is planned.
        Called when no connection is sending any more. Returns the connections that have more to
        send now.
        """
        down = [one.connection for one in self._results.values() if one.down]
        shares = launched_shares(self.campaigns.routes(self.id))
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
        self.crew.take_over()

    def _with_this_run(self, route: RouteReport) -> RouteReport:
        result = self._results.get(route.connection)
        if result is None:
            return route
        return replace(route, seconds=result.seconds, sent_now=result.sent, down=result.down)

    def _is_held(self) -> bool:
        return self._lease.held()

    def _let_go(self) -> None:
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
