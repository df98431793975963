"""The send loop: joins the outbox, the message and the wire."""

from mailsluice.sending.campaign_run import CampaignRun, RouteResult

__all__ = ["CampaignRun", "RouteResult"]
