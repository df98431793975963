"""The types of a message log's records."""

from __future__ import annotations

from enum import StrEnum

from mailsluice.core.outcome import Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState
from mailsluice.store.message_log import LoggedAttempt, LoggedOutcome
from mailsluice.store.reported import EVENT_PHASE
from mailsluice.store.resolutions import OPERATOR_PHASE


class RecordType(StrEnum):
    """The type of a record; the first six are named, and mean, as in KumoMTA's log."""

    DELIVERY = "Delivery"
    """A server has accepted the message."""
    TRANSIENT_FAILURE = "TransientFailure"
    """An attempt failed, and another one follows."""
    BOUNCE = "Bounce"
    """The message was refused for good."""
    EXPIRATION = "Expiration"
    """The attempts are used up, or the message is too old."""
    ADMIN_BOUNCE = "AdminBounce"
    """An operator has ended the delivery: the campaign is cancelled, or counted as failed."""
    OOB = "OOB"
    """A bounce that came after the message had been accepted."""
    FEEDBACK = "Feedback"
    """The recipient has reported the message as spam."""
    UNCERTAIN = "Uncertain"
    """The SMTP connection broke between the final dot and the reply."""
    RESEND = "Resend"
    """An operator has an uncertain message sent again."""
    SUPPRESSION = "Suppression"
    """The address was put on the suppression list before the message was sent."""
    PROVIDER_DELIVERY = "ProviderDelivery"
    """The provider reports that the recipient's server has accepted the message."""
    PROVIDER_DEFERRAL = "ProviderDeferral"
    """The provider reports that the recipient's server has put the message off."""
    PROVIDER_DROP = "ProviderDrop"
    """The provider reports that it has not sent the message."""
    UNSUBSCRIBE = "Unsubscribe"
    """The recipient wants no more mail."""


COMMANDS = {
    Phase.CONNECT.value: None,
    Phase.TLS.value: "STARTTLS",
    Phase.LOGIN.value: "AUTH",
    Phase.MAIL.value: "MAIL FROM",
    Phase.RCPT.value: "RCPT TO",
    Phase.DATA.value: "DATA",
    Phase.BODY.value: ".",
}
"""The SMTP command that a reply answers, by the phase of the attempt."""

EVENT_TYPES = {
    DeliveryState.DELIVERED.value: RecordType.PROVIDER_DELIVERY,
    DeliveryState.DEFERRED.value: RecordType.PROVIDER_DEFERRAL,
    DeliveryState.DROPPED.value: RecordType.PROVIDER_DROP,
    DeliveryState.BOUNCED.value: RecordType.OOB,
    DeliveryState.COMPLAINED.value: RecordType.FEEDBACK,
    DeliveryState.UNSUBSCRIBED.value: RecordType.UNSUBSCRIBE,
}

_VERDICTS = {
    "failed": RecordType.BOUNCE,
    "uncertain": RecordType.UNCERTAIN,
}
_DECISIONS = {
    "sent": RecordType.DELIVERY,
    "failed": RecordType.ADMIN_BOUNCE,
    "resend": RecordType.RESEND,
}
_SIMPLE = {
    RecipientStatus.SENT: RecordType.DELIVERY,
    RecipientStatus.SUPPRESSED: RecordType.SUPPRESSION,
    RecipientStatus.CANCELLED: RecordType.ADMIN_BOUNCE,
}


def type_of_attempt(attempt: LoggedAttempt) -> RecordType:
    """The type of a row of `attempts`: an attempt, an operator's decision, or an event."""
    if attempt.phase == OPERATOR_PHASE:
        return _DECISIONS.get(attempt.verdict, RecordType.ADMIN_BOUNCE)
    if attempt.phase == EVENT_PHASE:
        return RecordType.DELIVERY
    return _VERDICTS.get(attempt.verdict, RecordType.TRANSIENT_FAILURE)


def type_of_outcome(outcome: LoggedOutcome) -> RecordType | None:
    """The type of a recipient's outcome; None if a row of `attempts` has told it already."""
    last = outcome.last
    if last and last.phase == EVENT_PHASE:
        return None
    if last and last.phase == OPERATOR_PHASE and last.verdict == outcome.status.value:
        return None
    if outcome.status is not RecipientStatus.FAILED:
        return _SIMPLE[outcome.status]
    if last is None or last.phase == OPERATOR_PHASE or last.reply != outcome.reply:
        return RecordType.BOUNCE  # nothing was sent: the message cannot be made
    return None if last.verdict == "failed" else RecordType.EXPIRATION
