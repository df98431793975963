"""Why an address gets no mail. Pure."""

from __future__ import annotations

import re
from enum import StrEnum


class SuppressionReason(StrEnum):
    """Why an address is on the list; where there are several reasons, the first of these counts."""

    COMPLAINED = "complained"
    """Its owner reported mail as spam."""
    UNSUBSCRIBED = "unsubscribed"
    """Its owner wants no more mail."""
    BOUNCED = "bounced"
    """Mail to it comes back."""
    MANUAL = "manual"
    """An operator says so."""
    IMPORTED = "imported"
    """It was on a list from elsewhere that did not say why."""


WISHES = frozenset((SuppressionReason.COMPLAINED, SuppressionReason.UNSUBSCRIBED))
"""What its owner wants: not to be taken back without him."""

# As exports of SendGrid, Mailgun, Amazon SES, SparkPost, Postmark and Mailchimp say, letters alone.
_WORDS = {
    SuppressionReason.COMPLAINED: "complained complaint complaints spam spamcomplaint spamreport"
    " spamreports",
    SuppressionReason.UNSUBSCRIBED: "unsubscribed unsubscribe unsubscribes groupunsubscribe"
    " listunsubscribe unsubscribelink globalunsubscribe optout optedout",
    SuppressionReason.BOUNCED: "bounced bounce bounces hardbounce bouncerule cleaned invalid"
    " invalidemail invalidemails",
    SuppressionReason.MANUAL: "manual manualsuppression manuallyadded",
    SuppressionReason.IMPORTED: "imported import",
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}


def reason_of(text: str) -> SuppressionReason | None:
    """What another system calls the reason; None where it is not known."""
    return _REASONS.get(re.sub(r"[^a-z]", "", text.lower()))
