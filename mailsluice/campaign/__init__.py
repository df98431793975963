"""The campaign document: what is sent to whom, over which connections, how fast."""

from mailsluice.campaign.document import (
    Campaign,
    Dispatch,
    DownPolicy,
    Header,
    Message,
    RecipientSource,
    Retry,
    Strategy,
    Throttle,
    UncertainPolicy,
)

__all__ = [
    "Campaign",
    "Dispatch",
    "DownPolicy",
    "Header",
    "Message",
    "RecipientSource",
    "Retry",
    "Strategy",
    "Throttle",
    "UncertainPolicy",
]
