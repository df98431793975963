"""A campaign's report from the state database, at any time."""

from __future__ import annotations

from decimal import Decimal

from mailsluice.core.status import UNCLAIMED, RecipientStatus
from mailsluice.reports.campaign.report import Report, RouteReport
from mailsluice.stop_loss.telling import told
from mailsluice.store.archives import Archives
from mailsluice.store.campaign_sources import CampaignSources
from mailsluice.store.campaigns import Campaigns
from mailsluice.store.counts import Counts
from mailsluice.store.database import Database
from mailsluice.store.holds import Holds
from mailsluice.store.outbox import Outbox
from mailsluice.store.providers import Providers
from mailsluice.store.warm_ups import WarmUps


def stored_report(database: Database, name: str) -> Report:
    """Report a campaign from what is stored, without what only a run knows, such as rates.

    Raises OutboxError when there is no such campaign.
    """
    campaigns = Campaigns(database)
    record = campaigns.get(name)
    outbox = Outbox(database, record.id)
    archive = Archives(database).find(record.id)
    counts = Counts(record.accepted, archive.counts) if archive else outbox.counts()
    is_pooled = outbox.is_pooled
    routes = [
        RouteReport(
            route.connection,
            route.assigned,
            counts.by_connection.get(route.connection, {}),
            share=Decimal(route.percent) if is_pooled and route.percent else None,
        )
        for route in campaigns.routes(record.id)
    ]
    if unclaimed := counts.by_connection.get(UNCLAIMED):
        routes.append(RouteReport(UNCLAIMED, 0, unclaimed))
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
        routes=routes,
        sources=CampaignSources(database).of(record.id),
        moves=campaigns.moves(record.id),
        affinity=record.affinity,
        digest=record.assignment_digest,
        warm_ups=WarmUps(database).of_campaign(record.id),
        archive=str(archive or ""),
        finish_at=record.finish_at,
        held=told(Holds(database, record.id).undecided(), Providers(database).of(record.id)),
    )
