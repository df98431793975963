"""Events of Mailjet's Event API. Pure.

A request has one event, or an array of them. Source: "Event API" in Mailjet's documentation. The
events have no id of their own, but a message has at most one event of a kind at a moment.
"""

from __future__ import annotations

from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.batch import MAX_EVENTS, Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, items, json_of

_STATES = {
    "sent": DeliveryState.DELIVERED,
    "bounce": DeliveryState.BOUNCED,
    "blocked": DeliveryState.DROPPED,
    "spam": DeliveryState.COMPLAINED,
    "unsub": DeliveryState.UNSUBSCRIBED,
}
_GREYLISTED = "greylisted"
_DROPPED = {"spam reporter": SuppressionReason.COMPLAINED}
"""Reasons for which Mailjet drops a message because of a wish of its recipient."""
_ABOUT_THE_MAILBOX = frozenset(("recipient", "domain", ""))


def read(body: bytes) -> Batch:
    """Read a request. Raises UnreadableEventError if it has not the form of one."""
    return batch_of(items(json_of(body), MAX_EVENTS), event_of)


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if it is about something else than delivery."""
    name = fields.text("event")
    state = _STATES.get(name)
    if state is None:
        return None
    error = fields.text("error")
    if state is DeliveryState.BOUNCED and error == _GREYLISTED and not _is_hard(fields):
        state = DeliveryState.DEFERRED  # Mailjet tries again
    at = fields.moment("time")
    message = fields.text("Message_GUID", "MessageID") or fields.needed("MessageID")
    reply = fields.text("comment", "smtp_reply", "error")
    failure, status = _failure(fields, reply) if state is DeliveryState.BOUNCED else (None, "")
    return ProviderEvent(
        key=f"{name} {message} {at:.0f}",
        state=state,
        at=at,
        email=fields.text("email"),
        token=fields.text("CustomID", "Payload"),
        provider_id=fields.text("MessageID"),
        failure=failure,
        status=status,
        reply=reply,
        dropped_for=_DROPPED.get(error) if state is DeliveryState.DROPPED else None,
    )


def _is_hard(fields: Fields) -> bool:
    return fields.get("hard_bounce") is True


def _failure(fields: Fields, reply: str) -> tuple[FailureKind, str]:
    if fields.text("error_related_to") not in _ABOUT_THE_MAILBOX:
        return FailureKind.BLOCK, ""
    return failure_of(is_permanent=_is_hard(fields), reply=reply)
