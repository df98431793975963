"""A campaign's report from what is stored, at any time."""

from __future__ import annotations

from mailsluice.outbox.archives import Archives
from mailsluice.outbox.campaigns import Campaigns
from mailsluice.outbox.counts import Counts
from mailsluice.outbox.database import Database
from mailsluice.outbox.outbox import Outbox
from mailsluice.outbox.warm_ups import WarmUps
from mailsluice.report import Report, RouteReport
from mailsluice.status import RecipientStatus


def stored_report(database: Database, name: str) -> Report:
    """Where a campaign stands; what only a run knows (rates, who is down) is left out.

    Raises OutboxError where there is no such campaign.
    """
    campaigns = Campaigns(database)
    record = campaigns.get(name)
    outbox = Outbox(database, record.id)
    archive = Archives(database).find(record.id)
    counts = Counts(record.accepted, archive.counts) if archive else outbox.counts()
    return Report(
        campaign=record.name,
        read_rows=record.read_rows,
        accepted=record.accepted,
        rejected=record.rejected,
        held_back=record.held_back,
        suppressed_since=(
            outbox.suppressed_since()
            if not archive and counts.of(RecipientStatus.SUPPRESSED)
            else {}
        ),
        routes=[
            RouteReport(one.connection, one.assigned, counts.by_connection.get(one.connection, {}))
            for one in campaigns.routes(record.id)
        ],
        moves=campaigns.moves(record.id),
        digest=record.assignment_digest,
        warm_ups=WarmUps(database).of_campaign(record.id),
        archive=str(archive or ""),
    )
