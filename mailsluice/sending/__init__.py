"""The send loop: joins the outbox, the message and the wire."""

from mailsluice.sending.campaign_run import CampaignRun
from mailsluice.sending.run import RouteResult, Run
from mailsluice.sending.sender_run import SenderRun

__all__ = ["CampaignRun", "RouteResult", "Run", "SenderRun"]
