"""Events of Brevo's webhooks for transactional e-mail. Pure.

Source: "Transactional webhooks" in Brevo's documentation. Its events have no id: `id` is the
webhook's.
"""

from __future__ import annotations

from hashlib import blake2b

from mailsluice.events.batch import MAX_EVENTS, Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, items, json_of
from mailsluice.message.provider_fields import NAME

_STATES = {
    "delivered": DeliveryState.DELIVERED,
    "deferred": DeliveryState.DEFERRED,
    "soft_bounce": DeliveryState.BOUNCED,
    "hard_bounce": DeliveryState.BOUNCED,
    "invalid_email": DeliveryState.BOUNCED,
    "blocked": DeliveryState.DROPPED,
    "error": DeliveryState.DROPPED,
    "spam": DeliveryState.COMPLAINED,
    "complaint": DeliveryState.COMPLAINED,
    "unsubscribed": DeliveryState.UNSUBSCRIBED,
    "unsubscribe": DeliveryState.UNSUBSCRIBED,
}
_PERMANENT = frozenset(("hard_bounce", "invalid_email"))


def read(body: bytes) -> Batch:
    """Read a request. Raises UnreadableEventError if it has not the form of one."""
    return batch_of(items(json_of(body), MAX_EVENTS), event_of)


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if it is about something else than delivery."""
    name = fields.text("event")
    state = _STATES.get(name)
    if state is None:
        return None
    reply, email = fields.text("reason"), fields.text("email")
    message, at = fields.text("message-id"), fields.moment("ts_event", "ts_epoch", "ts")
    failure: FailureKind | None = None
    status = ""
    if state is DeliveryState.BOUNCED:
        failure, status = failure_of(is_permanent=name in _PERMANENT, reply=reply)
    parts = "\0".join((name, message, email, f"{at:.3f}"))
    return ProviderEvent(
        key=blake2b(parts.encode(), digest_size=16).hexdigest(),
        state=state,
        at=at,
        email=email,
        token=fields.text("X-Mailin-custom").removeprefix(f"{NAME}:"),
        message_id=f"<{message.strip('<>')}>" if message else "",
        failure=failure,
        status=status,
        reply=reply,
    )
