"""Events of Postmark's webhooks, each in a request of its own. Pure.

Source: "Webhooks overview" and "Bounce API" (types of bounces) in Postmark's documentation.
"""

from __future__ import annotations

from mailsluice.events.batch import Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, json_of
from mailsluice.message.provider_fields import NAME

_TIMES = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "SubscriptionChange": "ChangedAt",
}
_PERMANENT = frozenset(("HardBounce", "BadEmailAddress"))
_BLOCKS = frozenset(("SpamNotification", "Blocked", "DMARCPolicy", "ChallengeVerification"))
_NO_BOUNCES = frozenset(
    ("AutoResponder", "AddressChange", "OpenRelayTest", "Subscribe", "Virus", "VirusNotification")
)
"""Types of messages that came back although the message may have arrived."""
_DEFERRED = frozenset(("Transient", "DnsError"))
_DROPPED = frozenset(
    (
        "ManuallyDeactivated",
        "Unconfirmed",
        "SMTPApiError",
        "InboundError",
        "TemplateRenderingFailed",
    )
)


def read(body: bytes) -> Batch:
    """Read a request. Raises UnreadableEventError if it has not the form of one."""
    return batch_of([json_of(body)], event_of)


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if it is about something else than delivery."""
    kind = fields.text("RecordType")
    state = _state(fields, kind)
    if state is None:
        return None
    message = fields.needed("MessageID")
    at = fields.moment(_TIMES[kind])
    email = fields.text("Recipient", "Email")
    reply = fields.text("Details", "Description")
    failure, status = _failure(fields, reply) if state is DeliveryState.BOUNCED else (None, "")
    return ProviderEvent(
        # A delivery has no id of its own; a message to one recipient is delivered once.
        key=fields.text("ID") or f"{kind} {message} {at:.0f}",
        state=state,
        at=at,
        email=email,
        token=fields.inner("Metadata").text(NAME),
        provider_id=message,
        failure=failure,
        status=status,
        reply=reply,
    )


def _state(fields: Fields, kind: str) -> DeliveryState | None:
    match kind, fields.text("Type"):
        case "Delivery", _:
            return DeliveryState.DELIVERED
        case ("SpamComplaint", _) | ("Bounce", "SpamComplaint"):
            return DeliveryState.COMPLAINED
        case "Bounce", "Unsubscribe":
            return DeliveryState.UNSUBSCRIBED
        case "Bounce", name if name in _NO_BOUNCES:
            return None
        case "Bounce", name if name in _DEFERRED:
            return DeliveryState.DEFERRED
        case "Bounce", name if name in _DROPPED:
            return DeliveryState.DROPPED
        case "Bounce", _:
            return DeliveryState.BOUNCED
        case "SubscriptionChange", _ if _is_own_wish(fields):
            return DeliveryState.UNSUBSCRIBED
        case _:
            return None


def _is_own_wish(fields: Fields) -> bool:
    """Whether the recipient wants no more mail.

    A complaint is another event, with an id of its own, if that web hook is on: it counts there.
    """
    is_complaint = fields.text("SuppressionReason") == "SpamComplaint"
    is_unsubscribe = (
        fields.text("SuppressionReason") == "ManualSuppression"
        and fields.text("Origin") == "Recipient"
    )
    return fields.get("SuppressSending") is True and (is_complaint or is_unsubscribe)


def _failure(fields: Fields, reply: str) -> tuple[FailureKind, str]:
    kind = fields.text("Type")
    failure, status = failure_of(is_permanent=kind in _PERMANENT, reply=reply)
    return (FailureKind.BLOCK if kind in _BLOCKS else failure), status
