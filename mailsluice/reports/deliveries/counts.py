"""The deliveries of a campaign, in numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailsluice.events.event import DeliveryState, FailureKind


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """The deliveries of accepted messages, by the events of their providers."""

    by_state: Mapping[DeliveryState, int]
    """Messages by their latest state; messages without an event are in none."""
    by_failure: Mapping[FailureKind, int]
    """Messages that bounced, by the reason."""
    median_seconds: float | None = None
    """From the acceptance to the delivery; None when nothing is known to be delivered."""
    p95_seconds: float | None = None
    """95 % of the delivered messages took at most this long."""

    def of(self, *states: DeliveryState) -> int:
        """Messages whose latest state is one of these."""
        return sum(self.by_state.get(state, 0) for state in states)


@dataclass(frozen=True, slots=True)
class DeliveryTimes:
    """Times from the acceptance of messages to their delivery."""

    median_seconds: float
    p95_seconds: float
    """95 % of the delivered messages took at most this long."""


@dataclass(frozen=True, slots=True)
class CampaignTimes:
    """Times to delivery, where events report deliveries."""

    by_connection: Mapping[str, DeliveryTimes] = field(default_factory=dict)
    by_provider: Mapping[int, DeliveryTimes] = field(default_factory=dict)
    """By the number of the mailbox provider; 0 for all smaller ones."""
    in_all: DeliveryTimes | None = None


@dataclass(frozen=True, slots=True)
class CampaignDeliveries:
    """The deliveries of a campaign's accepted messages."""

    by_connection: Mapping[str, DeliveryCounts] = field(default_factory=dict)
    """Connections without events are left out."""
    in_all: DeliveryCounts = field(default_factory=lambda: DeliveryCounts({}, {}))
