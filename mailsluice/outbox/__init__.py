"""The state database: campaigns, recipients, what became of each. Knows nothing of SMTP."""

from mailsluice.outbox.bounces import Bounces, Recorded
from mailsluice.outbox.campaigns import CampaignRecord, Campaigns, RouteRecord, launched_shares
from mailsluice.outbox.counts import Counts
from mailsluice.outbox.database import Database, default_url, home
from mailsluice.outbox.outbox import Claimed, History, InDoubt, Outbox, Settled
from mailsluice.outbox.senders import Ending, SenderRecord, Senders
from mailsluice.outbox.suppressions import Suppressions
from mailsluice.outbox.usages import Ask, Starts, Usages
from mailsluice.outbox.warm_ups import WarmUps

__all__ = [
    "Ask",
    "Bounces",
    "CampaignRecord",
    "Campaigns",
    "Claimed",
    "Counts",
    "Database",
    "Ending",
    "History",
    "InDoubt",
    "Outbox",
    "Recorded",
    "RouteRecord",
    "SenderRecord",
    "Senders",
    "Settled",
    "Starts",
    "Suppressions",
    "Usages",
    "WarmUps",
    "default_url",
    "home",
    "launched_shares",
]
