"""Events of SendGrid's Event Webhook. Pure.

A request is an array of events. The unique arguments of the message are fields of its events.
Source: the Event Webhook Reference in SendGrid's documentation.
"""

from __future__ import annotations

from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.batch import MAX_EVENTS, Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, items, json_of
from mailsluice.message.provider_fields import NAME

_STATES = {
    "deferred": DeliveryState.DEFERRED,
    "delivered": DeliveryState.DELIVERED,
    "bounce": DeliveryState.BOUNCED,
    "blocked": DeliveryState.BOUNCED,
    "dropped": DeliveryState.DROPPED,
    "spamreport": DeliveryState.COMPLAINED,
    "unsubscribe": DeliveryState.UNSUBSCRIBED,
    # About one group of the sender's mail; other connections know no groups, and would go on.
    "group_unsubscribe": DeliveryState.UNSUBSCRIBED,
}
_DROPPED = {
    "unsubscribed address": SuppressionReason.UNSUBSCRIBED,
    "spam reporting address": SuppressionReason.COMPLAINED,
}
"""Reasons for which SendGrid drops a message because of a wish of its recipient."""
_PERMANENT = frozenset(("", "bounce"))
"""Types of bounces; others are blocked and expired messages."""
_ABOUT_THE_MAILBOX = frozenset(("", "Invalid Address", "Mailbox Unavailable", "Unclassified"))
"""Classes of bounces that may be the mailbox's fault; others are content, reputation, volume."""


def read(body: bytes) -> Batch:
    """Read a request. Raises UnreadableEventError if it has not the form of one."""
    return batch_of(items(json_of(body), MAX_EVENTS), event_of)


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if it is about something else than delivery."""
    state = _STATES.get(fields.text("event"))
    if state is None:
        return None
    reply = fields.text("response", "reason")
    failure, status = _failure(fields, reply) if state is DeliveryState.BOUNCED else (None, "")
    return ProviderEvent(
        key=fields.needed("sg_event_id"),
        state=state,
        at=fields.moment("timestamp"),
        email=fields.text("email"),
        token=fields.text(NAME),
        message_id=fields.text("smtp-id"),
        provider_id=fields.text("sg_message_id").partition(".")[0],
        failure=failure,
        status=status or fields.text("status"),
        reply=reply,
        dropped_for=_DROPPED.get(reply.lower()) if state is DeliveryState.DROPPED else None,
    )


def _failure(fields: Fields, reply: str) -> tuple[FailureKind, str]:
    is_blocked = fields.text("type") == "blocked" or fields.text("event") == "blocked"
    failure, status = failure_of(
        is_permanent=fields.text("type") in _PERMANENT
        and fields.text("bounce_classification") in _ABOUT_THE_MAILBOX
        and not is_blocked,
        reply=reply,
        status=fields.text("status"),
    )
    return (FailureKind.BLOCK if is_blocked else failure), status
