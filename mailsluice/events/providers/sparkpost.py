"""Events of SparkPost: of its webhooks, and of its Events API. Pure.

A request is an array of `{"msys": {"message_event": {...}}}`; the name of the inner object depends
on the kind of the event. Source: "Webhooks" and "Bounce Classification Codes" in SparkPost's
documentation.
"""

from __future__ import annotations

from mailsluice.events.batch import MAX_EVENTS, Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, items, json_of
from mailsluice.message.provider_fields import NAME

_STATES = {
    "delivery": DeliveryState.DELIVERED,
    "delay": DeliveryState.DEFERRED,
    "bounce": DeliveryState.BOUNCED,
    "out_of_band": DeliveryState.BOUNCED,
    "policy_rejection": DeliveryState.DROPPED,
    "generation_failure": DeliveryState.DROPPED,
    "generation_rejection": DeliveryState.DROPPED,
    "spam_complaint": DeliveryState.COMPLAINED,
    "list_unsubscribe": DeliveryState.UNSUBSCRIBED,
    "link_unsubscribe": DeliveryState.UNSUBSCRIBED,
}
_HARD = frozenset(("10", "30"))  # invalid recipient, generic bounce without a recipient
_BLOCK = frozenset(
    ("25", "50", "51", "52", "53", "54")
)  # admin failure, mail block, spam, relaying
_UNDETERMINED = frozenset(("", "1"))
_NO_BOUNCES = frozenset(("60", "80", "100"))
"""Mails that came back although the message arrived: auto-reply, subscription, challenge."""
_UNSUBSCRIBES = "90"
_NO_COMPLAINTS = frozenset(("not-spam", "auth-failure"))
"""Types of feedback (RFC 6430, RFC 6591) that are no complaints."""


def read(body: bytes) -> Batch:
    """Read a request. Raises UnreadableEventError if it has not the form of one."""
    return batch_of(items(json_of(body), MAX_EVENTS), _enveloped)


def _enveloped(fields: Fields) -> ProviderEvent | None:
    inner = fields.inner("msys")
    return event_of(inner.inner(next(iter(inner), "")))


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if it is about something else than delivery."""
    state = _state(fields)
    if state is None:
        return None
    reply = fields.text("raw_reason", "reason")
    failure, status = _failure(fields, reply) if state is DeliveryState.BOUNCED else (None, "")
    return ProviderEvent(
        key=fields.needed("event_id"),
        state=state,
        at=fields.moment("timestamp"),
        email=fields.text("rcpt_to", "raw_rcpt_to"),
        token=fields.inner("rcpt_meta").text(NAME),
        provider_id=fields.text("transmission_id"),
        failure=failure,
        status=status,
        reply=reply,
        mailbox_provider=fields.text("mailbox_provider"),
    )


def _state(fields: Fields) -> DeliveryState | None:
    state = _STATES.get(fields.text("type"))
    kind = fields.text("bounce_class")
    if state is DeliveryState.COMPLAINED and fields.text("fbtype") in _NO_COMPLAINTS:
        return None
    if state is DeliveryState.BOUNCED and kind == _UNSUBSCRIBES:
        return DeliveryState.UNSUBSCRIBED
    return None if state is DeliveryState.BOUNCED and kind in _NO_BOUNCES else state


def _failure(fields: Fields, reply: str) -> tuple[FailureKind, str]:
    """Judge by SparkPost's class, and by the reply where SparkPost could not classify it."""
    kind = fields.text("bounce_class")
    failure, status = failure_of(is_permanent=kind in _HARD | _UNDETERMINED, reply=reply)
    if kind in _BLOCK:
        return FailureKind.BLOCK, status
    if kind in _UNDETERMINED and failure is FailureKind.HARD and not status:
        return FailureKind.SOFT, status  # nobody knows why
    return failure, status
