"""The deliveries of a connection, in numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.events.event import DeliveryState, FailureKind


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """The deliveries of one connection's accepted messages, by the events of its provider."""

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
