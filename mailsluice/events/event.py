"""An event that a provider reports about one message. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailsluice.core.suppression_reason import SuppressionReason


class DeliveryState(StrEnum):
    """The state of a message that a server has accepted."""

    DEFERRED = "deferred"
    """The recipient's server has put the message off; the provider tries again."""
    DELIVERED = "delivered"
    """The recipient's server has accepted the message."""
    DROPPED = "dropped"
    """The provider has not sent the message, for example because of its own suppression list."""
    BOUNCED = "bounced"
    """The recipient's server has refused the message, at once or later."""
    UNSUBSCRIBED = "unsubscribed"
    """The recipient has got the message, and wants no more."""
    COMPLAINED = "complained"
    """The recipient has reported the message as spam."""


class FailureKind(StrEnum):
    """Why a message bounced."""

    HARD = "hard"
    """The mailbox does not exist."""
    SOFT = "soft"
    """The mailbox cannot take mail now."""
    BLOCK = "block"
    """The sender, the content or the policy was refused, not the mailbox."""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event, in the terms that all providers share."""

    key: str
    """The provider's id of the event; events with the same key count once."""
    state: DeliveryState
    at: float
    """When it happened, by the provider's clock, in seconds since the epoch."""
    email: str = ""
    """The recipient's address, as the provider writes it."""
    token: str = ""
    """The recipient token that the message carried, if the event has it."""
    message_id: str = ""
    """The Message-ID that we gave the message, in angle brackets, if the event has it."""
    provider_id: str = ""
    """The id that the provider gave the message when it accepted it, if the event has it."""
    failure: FailureKind | None = None
    """Why the message bounced; None for all other states."""
    status: str = ""
    """The enhanced status such as 5.1.1, or empty (RFC 3463)."""
    reply: str = ""
    """The words of the recipient's server, or of the provider."""
    mailbox_provider: str = ""
    """The host of the mailbox as the provider names it, such as "Gmail"."""
    dropped_for: SuppressionReason | None = None
    """The recipient's earlier wish for which the provider has dropped the message, if any."""

    @property
    def wish(self) -> SuppressionReason | None:
        """The wish of the recipient that the event reports, other than a complaint."""
        if self.state is DeliveryState.UNSUBSCRIBED:
            return SuppressionReason.UNSUBSCRIBED
        return self.dropped_for
