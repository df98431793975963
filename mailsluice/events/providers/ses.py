"""Events of Amazon SES, as it publishes them to SNS, SQS and files. Pure.

Both forms are read: event publishing (`eventType`) and the older notifications
(`notificationType`). One event may be about several recipients; a message of ours has one.
Source: "Contents of event data that Amazon SES publishes to Amazon SNS" in Amazon's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailsluice.bounces.notifications import NOT_SENT, UNSUBSCRIBED, is_automatic_reply
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.batch import Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, UnreadableEventError, json_of
from mailsluice.message.provider_fields import NAME

_OBJECTS = {
    "Delivery": "delivery",
    "DeliveryDelay": "deliveryDelay",
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Reject": "reject",
    "Rendering Failure": "failure",
    "Subscription": "subscription",
}
_CONTENT = frozenset(("MessageTooLarge", "ContentRejected", "AttachmentRejected"))
_NO_COMPLAINTS = frozenset(("not-spam", "auth-failure"))
"""Types of feedback (RFC 6430, RFC 6591) that are no complaints."""
_MAX_RECIPIENTS = 50
"""Recipients of one message in SES."""

_Meaning = tuple[DeliveryState | None, FailureKind | None, str, SuppressionReason | None]


def read(body: bytes) -> Batch:
    """Read the message of a notification of SNS.

    A text is no event: SES sends one to a topic when it is chosen.
    """
    try:
        event = json_of(body)
    except UnreadableEventError:
        event = None
    return batch_of([event], lambda fields: [*events_of(fields)])


def events_of(fields: Fields) -> Iterator[ProviderEvent]:
    """Read one event, for each recipient that it is about; none if it is not about delivery."""
    kind = fields.text("eventType", "notificationType")
    if kind not in _OBJECTS:
        return
    mail, about = fields.inner("mail"), fields.inner(_OBJECTS[kind])
    message = mail.needed("messageId")
    at = about.moment("timestamp") if about.text("timestamp") else mail.moment("timestamp")
    token = _tag(mail.inner("tags").get(NAME))
    for recipient in _recipients(mail, about):
        email = _address(recipient.text("emailAddress"))
        reply = recipient.text("diagnosticCode") or about.text("smtpResponse", "reason")
        state, failure, status, dropped_for = _meaning(kind, about, recipient, reply)
        if state is None:
            continue
        mark = about.text("feedbackId") or f"{message} {at:.3f}"
        yield ProviderEvent(
            key=f"{kind} {mark} {email}"[:250],
            state=state,
            at=at,
            email=email,
            token=token,
            message_id=_message_id(mail),
            provider_id=message,
            failure=failure,
            status=status,
            reply=reply,
            dropped_for=dropped_for,
        )


def _meaning(kind: str, about: Fields, recipient: Fields, reply: str) -> _Meaning:
    status = recipient.text("status")
    match kind:
        case "Delivery":
            return DeliveryState.DELIVERED, None, "", None
        case "DeliveryDelay":
            return DeliveryState.DEFERRED, None, status, None
        case "Complaint":
            return _complaint(about)
        case "Subscription":
            return (DeliveryState.UNSUBSCRIBED if _has_left(about) else None), None, "", None
        case "Bounce":
            return _bounce(about, recipient, reply, status)
        case _:
            return DeliveryState.DROPPED, None, "", None


def _complaint(about: Fields) -> _Meaning:
    if about.text("complaintFeedbackType") in _NO_COMPLAINTS:
        return None, None, "", None
    if about.text("complaintSubType") in NOT_SENT:
        return DeliveryState.DROPPED, None, "", SuppressionReason.COMPLAINED
    return DeliveryState.COMPLAINED, None, "", None


def _has_left(about: Fields) -> bool:
    """Whether a change of preferences is a wish for less mail: SES also reports the opposite."""
    new, old = about.inner("newTopicPreferences"), about.inner("oldTopicPreferences")
    if not new or new.get("unsubscribeAll") is True:
        return True
    return bool(_left_topics(new) - _left_topics(old))


def _left_topics(preferences: Fields) -> set[str]:
    topics = preferences.get("topicSubscriptionStatus")
    listed = [Fields(topic) for topic in topics] if isinstance(topics, list) else []
    return {
        topic.text("topicName")
        for topic in listed
        if topic.text("subscriptionStatus").lower() == "optout"
    }


def _bounce(about: Fields, recipient: Fields, reply: str, status: str) -> _Meaning:
    subtype = about.text("bounceSubType")
    if subtype in NOT_SENT:
        has_left = subtype == UNSUBSCRIBED
        wish = SuppressionReason.UNSUBSCRIBED if has_left else None
        return DeliveryState.DROPPED, None, status, wish
    if is_automatic_reply(about, recipient):
        return None, None, "", None
    is_permanent = about.text("bounceType") == "Permanent"
    failure, status = failure_of(is_permanent=is_permanent, reply=reply, status=status)
    if subtype in _CONTENT:
        failure = FailureKind.BLOCK
    return DeliveryState.BOUNCED, failure, status, None


def _recipients(mail: Fields, about: Fields) -> list[Fields]:
    """Return the recipients as objects with an `emailAddress`."""
    for name in ("bouncedRecipients", "complainedRecipients", "delayedRecipients"):
        listed = about.get(name)
        if isinstance(listed, list) and listed:
            return [Fields(recipient) for recipient in listed[:_MAX_RECIPIENTS]]
    listed = about.get("recipients") or mail.get("destination") or []
    names = listed if isinstance(listed, list) else []
    return [Fields({"emailAddress": str(name)}) for name in names[:_MAX_RECIPIENTS]]


def _address(text: str) -> str:
    """Return the address alone: SES may write it as in a header field, after a name."""
    return text.rpartition("<")[2].removesuffix(">") if text.endswith(">") else text


def _tag(value: object) -> str:
    """Return the first value of a message tag."""
    first = value[0] if isinstance(value, list) and value else ""
    return first if isinstance(first, str) else ""


def _message_id(mail: Fields) -> str:
    """Return the Message-ID that we gave the message, if the event repeats its headers."""
    headers = mail.get("headers")
    for header in headers[:200] if isinstance(headers, list) else ():
        if isinstance(header, dict) and str(header.get("name", "")).lower() == "message-id":
            return Fields(header).text("value")
    return ""
