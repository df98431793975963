"""The audience of a campaign: read from its source, checked and deduplicated."""

from mailsluice.audience.resolution import resolve
from mailsluice.audience.resolved import Audience
from mailsluice.audience.stored import RejectReason

__all__ = [
    "Audience",
    "RejectReason",
    "resolve",
]
