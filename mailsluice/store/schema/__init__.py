"""The tables. Times are seconds since the epoch, by the database's clock."""

from mailsluice.store.schema.addresses import (
    affinities,
    affinity_groups,
    bounces,
    mail_domains,
    suppressions,
)
from mailsluice.store.schema.campaigns import (
    alerts,
    archives,
    campaign_providers,
    campaign_sources,
    campaign_summaries,
    campaign_zones,
    campaigns,
    canaries,
    holds,
    moves,
    rejects,
    routes,
    senders,
)
from mailsluice.store.schema.events import deliveries, event_cursors, events
from mailsluice.store.schema.limits import usage, warm_up_days, warm_up_plans
from mailsluice.store.schema.message_log import (
    message_log_campaigns,
    message_log_spans,
    message_logs,
)
from mailsluice.store.schema.metadata import REVISION, metadata
from mailsluice.store.schema.recipients import attempts, compared, recipients
from mailsluice.store.schema.seeds import seed_results

__all__ = [
    "REVISION",
    "affinities",
    "affinity_groups",
    "alerts",
    "archives",
    "attempts",
    "bounces",
    "campaign_providers",
    "campaign_sources",
    "campaign_summaries",
    "campaign_zones",
    "campaigns",
    "canaries",
    "compared",
    "deliveries",
    "event_cursors",
    "events",
    "holds",
    "mail_domains",
    "message_log_campaigns",
    "message_log_spans",
    "message_logs",
    "metadata",
    "moves",
    "recipients",
    "rejects",
    "routes",
    "seed_results",
    "senders",
    "suppressions",
    "usage",
    "warm_up_days",
    "warm_up_plans",
]
