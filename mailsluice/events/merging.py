"""Merge the events of a message into what is known of its delivery. Pure.

Events arrive late, twice, and in any order. So a delivery is the greatest of its events in a total
order, with the earliest time of each state: `merged` is commutative, associative and idempotent,
and the result does not depend on the order. `mailsluice.store.deliveries` does the same in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent

RANKS = {
    DeliveryState.DEFERRED: 1,
    DeliveryState.DELIVERED: 2,
    DeliveryState.DROPPED: 2,
    DeliveryState.BOUNCED: 2,
    DeliveryState.UNSUBSCRIBED: 3,
    DeliveryState.COMPLAINED: 4,
}
"""A state of a higher rank wins; of the same rank, the later one: a mail that was delivered may
still bounce, and one that bounced for now may still be delivered."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of one recipient's message, as far as events have reported it."""

    state: DeliveryState
    at: float
    """When the state was reached, in seconds since the epoch."""
    failure: FailureKind | None = None
    reply: str = ""
    status: str = ""
    mailbox_provider: str = ""
    first_at: Mapping[DeliveryState, float] = field(default_factory=dict)
    """The earliest time of each state that was reported."""

    @property
    def order(self) -> tuple[int, float, str, str, str, str]:
        """The place in the total order."""
        failure = self.failure or ""
        return RANKS[self.state], self.at, self.state, failure, self.reply, self.status


def delivery_of(event: ProviderEvent) -> Delivery:
    """Return what one event says."""
    return Delivery(
        event.state,
        event.at,
        event.failure,
        event.reply,
        event.status,
        event.mailbox_provider,
        {event.state: event.at},
    )


def merged(known: Delivery, more: Delivery) -> Delivery:
    """Join what two sets of events say about the same message."""
    greater = max(known, more, key=lambda delivery: delivery.order)
    pairs = sorted((*known.first_at.items(), *more.first_at.items()), key=lambda pair: -pair[1])
    return replace(
        greater,
        mailbox_provider=max(known.mailbox_provider, more.mailbox_provider),
        first_at=dict(pairs),  # of two times of a state, the earlier one comes last
    )
