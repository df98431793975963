"""The state database: campaigns, their recipients and the outcome for each recipient."""

from mailsluice.store.bounces import Bounces, Recorded
from mailsluice.store.campaigns import CampaignRecord, Campaigns
from mailsluice.store.canaries import Bound, Canaries
from mailsluice.store.counts import Counts
from mailsluice.store.database import Database, Transaction, default_url, home
from mailsluice.store.holds import Holds, NewHold
from mailsluice.store.launches import Launches
from mailsluice.store.leases import Leases
from mailsluice.store.outbox import Outbox
from mailsluice.store.outbox_rows import EVERYBODY, Claimed, ClaimScope, History, InDoubt, Settled
from mailsluice.store.outcome_figures import OutcomeFigures
from mailsluice.store.providers import Providers
from mailsluice.store.routes import RouteRecord, launched_shares
from mailsluice.store.senders import Ending, SenderRecord, Senders
from mailsluice.store.summaries import Summary
from mailsluice.store.suppressions import Suppressions
from mailsluice.store.usages import Ask, Starts, Usages
from mailsluice.store.warm_ups import WarmUps
from mailsluice.store.zones import ZonePart, Zones

__all__ = [
    "EVERYBODY",
    "Ask",
    "Bounces",
    "Bound",
    "CampaignRecord",
    "Campaigns",
    "Canaries",
    "ClaimScope",
    "Claimed",
    "Counts",
    "Database",
    "Ending",
    "History",
    "Holds",
    "InDoubt",
    "Launches",
    "Leases",
    "NewHold",
    "Outbox",
    "OutcomeFigures",
    "Providers",
    "Recorded",
    "RouteRecord",
    "SenderRecord",
    "Senders",
    "Settled",
    "Starts",
    "Summary",
    "Suppressions",
    "Transaction",
    "Usages",
    "WarmUps",
    "ZonePart",
    "Zones",
    "default_url",
    "home",
    "launched_shares",
]
