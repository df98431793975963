"""The send loop: joins the store, the message and the SMTP sessions."""

from mailsluice.delivery.campaign_run import CampaignRun
from mailsluice.delivery.run import RouteResult, Run
from mailsluice.delivery.sender_run import SenderRun

__all__ = [
    "CampaignRun",
    "RouteResult",
    "Run",
    "SenderRun",
]
