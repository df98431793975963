"""The reasons for which an address gets no mail. Pure."""

from __future__ import annotations

import re
from enum import StrEnum


class SuppressionReason(StrEnum):
    """The reason for which an address is on the list; of several reasons the first one counts."""

    COMPLAINED = "complained"
    """The owner of the address reported mail as spam."""
    UNSUBSCRIBED = "unsubscribed"
    """The owner of the address wants no more mail."""
    BOUNCED = "bounced"
    """Mail to the address comes back."""
    MANUAL = "manual"
    """An operator added the address."""
    IMPORTED = "imported"
    """The address was on an imported list that gave no reason."""


WISHES = frozenset((SuppressionReason.COMPLAINED, SuppressionReason.UNSUBSCRIBED))
"""The wishes of the owner of an address, which only the owner may take back."""

# The letters of reasons in exports of SendGrid, Mailgun, SES, SparkPost, Postmark, Mailchimp and
# Brevo, and of usual variants.
_WORDS = {
    SuppressionReason.COMPLAINED: "complained complain complaint complaints spam abuse"
    " spamcomplaint spamcomplaints spamreport spamreports contactflaggedasspam flaggedasspam"
    " markedasspam reportedspam reportedasspam",
    SuppressionReason.UNSUBSCRIBED: "unsubscribed unsubscribe unsubscribes unsub groupunsubscribe"
    " groupunsubscribes listunsubscribe unsubscribelink globalunsubscribe globalunsubscribes"
    " unsubscribedviama unsubscribedviaemail unsubscribedviaapi unsubscribedviaemaillink"
    " optout optedout",
    SuppressionReason.BOUNCED: "bounced bounce bounces hardbounce hardbounces hardbounced"
    " bouncerule permanentbounce cleaned invalid invalidemail invalidemails",
    SuppressionReason.MANUAL: "manual manualsuppression manuallyadded compliance adminblocked",
    SuppressionReason.IMPORTED: "imported import",
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}


def reason_of(text: str) -> SuppressionReason | None:
    """Return the reason that another system's word stands for, or None if it is unknown."""
    return _REASONS.get(re.sub(r"[^a-z]", "", text.lower()))
