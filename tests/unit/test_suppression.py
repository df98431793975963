"""Reasons, and how they are told."""

from __future__ import annotations

import pytest

from mailsluice.suppression import Reason, Suppression, held_back, reason_of


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bounce", Reason.BOUNCED),  # SendGrid
        ("spamreport", Reason.COMPLAINED),
        ("spam_reports", Reason.COMPLAINED),
        ("group_unsubscribe", Reason.UNSUBSCRIBED),
        ("complaints", Reason.COMPLAINED),  # Mailgun
        ("COMPLAINT", Reason.COMPLAINED),  # Amazon SES
        ("List Unsubscribe", Reason.UNSUBSCRIBED),  # SparkPost
        ("Bounce Rule", Reason.BOUNCED),
        ("HardBounce", Reason.BOUNCED),  # Postmark
        ("cleaned", Reason.BOUNCED),  # Mailchimp
        ("unsubscribed", Reason.UNSUBSCRIBED),  # our own
        ("", None),
        ("550 5.1.1 no such user", None),
    ],
)
def test_reasons_are_understood_as_providers_write_them(text: str, reason: Reason | None) -> None:
    assert reason_of(text) is reason


def test_every_reason_of_ours_is_understood() -> None:
    assert [reason_of(one.value) for one in Reason] == list(Reason)


def test_how_many_were_held_back_is_told_with_the_most_first() -> None:
    counts = {"complained": 14, "bounced": 1_100, "manual": 0, "unsubscribed": 90}
    assert held_back(counts) == "1,204: 1,100 bounced, 90 unsubscribed, 14 complained"
    assert held_back({"manual": 0}) == ""


def test_a_row_says_why_and_since_when() -> None:
    assert Suppression("a@b.de", "bounced", "smtp red", 86_400.0).why == (
        "bounced: smtp red, 1970-01-02"
    )
    assert Suppression("a@b.de", "gone fishing", "x").kind is Reason.MANUAL
