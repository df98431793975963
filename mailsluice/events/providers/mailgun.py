"""Events of Mailgun: of its webhooks, and of its Events API, which have the same form. Pure.

Source: "Webhooks" and "Events" in Mailgun's documentation.
"""

from __future__ import annotations

from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.batch import Batch, batch_of
from mailsluice.events.event import DeliveryState, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, json_of
from mailsluice.message.provider_fields import NAME

_STATES = {
    "delivered": DeliveryState.DELIVERED,
    "complained": DeliveryState.COMPLAINED,
    "unsubscribed": DeliveryState.UNSUBSCRIBED,
    "rejected": DeliveryState.DROPPED,
}
_OWN_REASONS = "suppress-"
"""How reasons of failures begin that are Mailgun's own: its suppression lists have the address."""
_DROPPED = {
    "suppress-complaint": SuppressionReason.COMPLAINED,
    "suppress-unsubscribe": SuppressionReason.UNSUBSCRIBED,
}
"""Reasons that are a wish of the recipient."""
_NOT_HARD = frozenset(("old", "espblock", "greylisted"))
"""Reasons that say nothing about the mailbox: Mailgun has tried for too long, or was blocked."""
_OWN_CODES = "6"
"""How codes of Mailgun itself begin, which no server has replied."""


def read(body: bytes) -> Batch:
    """Read a request, which has one event. Raises UnreadableEventError."""
    return batch_of([Fields(json_of(body), "the request").get("event-data")], event_of)


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if it is about something else than delivery."""
    state = _state(fields)
    if state is None:
        return None
    delivery = fields.inner("delivery-status")
    words = delivery.text("message") or delivery.text("description")
    reply = f"{delivery.text('code')} {words}".strip() if words else ""
    status = delivery.text("enhanced-code")
    failure = None
    if state is DeliveryState.BOUNCED:
        is_permanent = _is_permanent(fields, delivery)
        failure, status = failure_of(is_permanent=is_permanent, reply=reply, status=status)
    own_id = fields.inner("message").inner("headers").text("message-id")
    at = fields.moment("timestamp")
    return ProviderEvent(
        # Mailgun's ids are unique within a day.
        key=f"{at // 86_400:.0f} {fields.needed('id')}",
        state=state,
        at=at,
        email=fields.text("recipient"),
        token=fields.inner("user-variables").text(NAME),
        message_id=f"<{own_id.strip('<>')}>" if own_id else "",
        failure=failure,
        status=status,
        reply=reply or fields.text("reason"),
        mailbox_provider=fields.text("recipient-provider"),
        dropped_for=_DROPPED.get(fields.text("reason")) if state is DeliveryState.DROPPED else None,
    )


def _is_permanent(fields: Fields, delivery: Fields) -> bool:
    return (
        fields.text("severity") == "permanent"
        and fields.text("reason") not in _NOT_HARD
        and delivery.text("bounce-type") != "soft"
        and not delivery.text("code").startswith(_OWN_CODES)
    )


def _state(fields: Fields) -> DeliveryState | None:
    name = fields.text("event")
    if name != "failed":
        return _STATES.get(name)
    if fields.text("severity") == "temporary":
        return DeliveryState.DEFERRED
    is_own = fields.text("reason").startswith(_OWN_REASONS)
    return DeliveryState.DROPPED if is_own else DeliveryState.BOUNCED
