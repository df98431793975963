"""Reasons for suppression, and their descriptions."""

from __future__ import annotations

import math

import pytest

from mailsluice.core.suppression import Suppression, held_back
from mailsluice.core.suppression_reason import SuppressionReason, reason_of


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bounce", SuppressionReason.BOUNCED),  # SendGrid
        ("spamreport", SuppressionReason.COMPLAINED),
        ("spam_reports", SuppressionReason.COMPLAINED),
        ("group_unsubscribe", SuppressionReason.UNSUBSCRIBED),
        ("complaints", SuppressionReason.COMPLAINED),  # Mailgun
        ("COMPLAINT", SuppressionReason.COMPLAINED),  # Amazon SES
        ("List Unsubscribe", SuppressionReason.UNSUBSCRIBED),  # SparkPost
        ("Bounce Rule", SuppressionReason.BOUNCED),
        ("HardBounce", SuppressionReason.BOUNCED),  # Postmark
        ("cleaned", SuppressionReason.BOUNCED),  # Mailchimp
        ("unsubscribed", SuppressionReason.UNSUBSCRIBED),  # our own
        ("", None),
        ("550 5.1.1 no such user", None),
    ],
)
def test_reasons_of_providers_are_understood(text: str, reason: SuppressionReason | None) -> None:
    assert reason_of(text) is reason


def test_our_own_reasons_are_understood() -> None:
    assert [reason_of(reason.value) for reason in SuppressionReason] == list(SuppressionReason)


def test_suppressed_recipients_are_counted_by_reason_most_first() -> None:
    counts = {"complained": 14, "bounced": 1_100, "manual": 0, "unsubscribed": 90}
    assert held_back(counts) == "1,204: 1,100 bounced, 90 unsubscribed, 14 complained"
    assert held_back({"manual": 0}) == ""


def test_a_suppression_gives_its_reason_source_and_day() -> None:
    assert Suppression("a@b.de", "bounced", "smtp red", 86_400.0).why == (
        "bounced: smtp red, 1970-01-02"
    )
    assert Suppression("a@b.de", "bounced", "smtp red", 253_402_214_399.0).why.endswith(
        "9999-12-30"
    )
    assert Suppression("a@b.de", "gone fishing", "x").kind is SuppressionReason.MANUAL


@pytest.mark.parametrize(
    "since", [1.7e15, 1.7e18, 1e300, -1e15, math.inf, -math.inf, math.nan, None]
)
def test_a_stored_date_that_no_calendar_has_is_left_out(since: float | None) -> None:
    assert Suppression("a@b.de", "bounced", "smtp red", since).why == "bounced: smtp red"
