"""The audience: who gets a campaign, from source to a checked and deduplicated list."""

from mailsluice.audience.resolution import resolve
from mailsluice.audience.resolved import Audience
from mailsluice.audience.stored import RejectReason

__all__ = [
    "Audience",
    "RejectReason",
    "resolve",
]
