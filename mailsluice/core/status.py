"""The states of a recipient and of a campaign, as stored."""

from __future__ import annotations

from enum import StrEnum


class RecipientStatus(StrEnum):
    """What is known about one recipient of one campaign."""

    PENDING = "pending"
    """Accepted into the audience, not yet tried, or tried in vain without reaching the server."""
    SENDING = "sending"
    """Claimed by a run: the message may be on its way."""
    SENT = "sent"
    """The server took the message over (2xx after the final dot)."""
    DEFERRED = "deferred"
    """The server said "later" (4xx): tried again on the same connection at `next_attempt_at`."""
    FAILED = "failed"
    """The server refused for good (5xx), the attempts are used up, or it cannot be rendered."""
    UNCERTAIN = "uncertain"
    """The link or the process broke after the final dot and before the reply."""
    SUPPRESSED = "suppressed"
    """Put on the suppression list after launch and before sending."""
    CANCELLED = "cancelled"
    """The campaign was cancelled before this recipient was tried."""


OPEN = (RecipientStatus.PENDING, RecipientStatus.SENDING, RecipientStatus.DEFERRED)
"""The states that keep a campaign from being completed."""


class CampaignStatus(StrEnum):
    """Where a campaign stands."""

    RESOLVING = "resolving"
    """Its audience is being read and stored; nothing has been sent."""
    READY = "ready"
    """Every recipient has its connection; no run is sending it now."""
    SENDING = "sending"
    """A run is sending it."""
    COMPLETED = "completed"
    """No recipient is pending, sending or deferred."""
    CANCELLED = "cancelled"
    """Ended by the operator, for good."""
