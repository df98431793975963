"""The states of a recipient and of a campaign, as stored, and the mark of the pool."""

from __future__ import annotations

from enum import StrEnum

UNCLAIMED = ""
"""The connection of the recipients in the pool: those of a campaign with the strategy `throughput`
that no connection has claimed yet."""


class RecipientStatus(StrEnum):
    """The state of one recipient of one campaign."""

    PENDING = "pending"
    """In the audience and not tried yet, or tried without reaching the server."""
    SENDING = "sending"
    """Claimed by a run: the message may have left."""
    SENT = "sent"
    """The server accepted the message (2xx after the final dot)."""
    DEFERRED = "deferred"
    """The server put the message off (4xx): the same connection retries at `next_attempt_at`."""
    FAILED = "failed"
    """The server refused (5xx), the attempts are used up, or the message cannot be rendered."""
    UNCERTAIN = "uncertain"
    """The link or the process broke between the final dot and the reply."""
    SUPPRESSED = "suppressed"
    """Put on the suppression list after the launch and before the message was sent."""
    CANCELLED = "cancelled"
    """The campaign was cancelled before the message was sent."""


OPEN = (RecipientStatus.PENDING, RecipientStatus.SENDING, RecipientStatus.DEFERRED)
"""The states that keep a campaign from being completed."""


class CampaignStatus(StrEnum):
    """The state of a campaign."""

    RESOLVING = "resolving"
    """The audience is being read and stored; nothing has been sent."""
    READY = "ready"
    """Every recipient has its connection; no run is sending the campaign."""
    SENDING = "sending"
    """A run is sending the campaign."""
    COMPLETED = "completed"
    """No recipient is pending, sending or deferred."""
    CANCELLED = "cancelled"
    """The operator ended the campaign, for good."""
