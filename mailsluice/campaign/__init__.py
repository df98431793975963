"""The campaign document: message, recipients, connections with their shares, and limits."""

from mailsluice.campaign.document import Campaign
from mailsluice.campaign.identity import Provider, SenderIdentity
from mailsluice.campaign.message import Header, Message
from mailsluice.campaign.policies import Dispatch, DownPolicy, Resolve, Strategy, UncertainPolicy
from mailsluice.campaign.retry import Retry
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.source import RecipientSource
from mailsluice.campaign.stop_loss import Approval, Canary, StopLoss
from mailsluice.campaign.throttle import ProviderThrottle, Throttle

__all__ = [
    "Approval",
    "Campaign",
    "Canary",
    "Dispatch",
    "DownPolicy",
    "Header",
    "Message",
    "Provider",
    "ProviderThrottle",
    "RecipientSource",
    "Resolve",
    "Retry",
    "SenderIdentity",
    "SendingWindow",
    "StopLoss",
    "Strategy",
    "Throttle",
    "UncertainPolicy",
]
