"""Reasons in the exports of providers, by their headings and words."""

from __future__ import annotations

from io import StringIO

import pandas as pd
import pytest

from mailsluice.operations.suppression.headings import DATE, SOURCE, Headings
from mailsluice.operations.suppression.reasons import ReadReasons, read_reasons


def headings(text: str, *, is_csv: bool = True) -> Headings:
    table = pd.read_csv(StringIO(text), dtype="str", keep_default_na=False)
    return Headings(table.astype("str"), is_csv=is_csv)


def reasons(text: str) -> ReadReasons:
    return read_reasons(headings(text))


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("type,source", "non_transactional,Spam Complaint", "complained"),  # SparkPost
        ("type,source", "transactional,List Unsubscribe", "unsubscribed"),
        ("type,source", "non_transactional,Unsubscribe Link", "unsubscribed"),
        ("Type,Source", "Non-Transactional,Bounce Rule", "bounced"),
        ("type,source", "transactional,Manually Added", "manual"),
        ("type,source", "transactional,Compliance", "manual"),
        ("SuppressionReason,Origin", "SpamComplaint,Recipient", "complained"),  # Postmark
        ("SuppressionReason,Origin", "HardBounce,Recipient", "bounced"),
        ("SuppressionReason,Origin", "ManualSuppression,Recipient", "unsubscribed"),
        ("SuppressionReason,Origin", "ManualSuppression,Customer", "manual"),
        ("Reason,LastUpdateTime", "COMPLAINT,2026-01-02", "complained"),  # Amazon SES
        ("UNSUB_TIME,UNSUB_REASON", "2026-01-02 10:00:00,NORMAL", "unsubscribed"),  # Mailchimp
        ("CLEAN_TIME,CLEAN_CAMPAIGN_TITLE", "2026-01-02 10:00:00,May", "bounced"),
        ("reason,blockedAt", "contactFlaggedAsSpam,2026-01-02", "complained"),  # Brevo
        ("reason,blockedAt", "unsubscribedViaMA,2026-01-02", "unsubscribed"),
        ("reason,type", "550 5.1.1 no such user,bounce", "bounced"),
        ("reason,Reason", "bounce,spam", "complained"),  # of two the one that counts most
        ("reason,source", "imported,unsubscribed", "imported"),  # our own source is no reason
    ],
)
def test_the_exports_of_providers_are_understood(header: str, row: str, reason: str) -> None:
    assert reasons(f"{header}\n{row}\n") == ([reason], 0, True)


@pytest.mark.parametrize(
    ("header", "row", "unknown", "is_given"),
    [
        ("address,created_at", "x,2026-01-02", 0, False),  # Mailgun's complaints
        ("email,source", "x,Spam Complaint", 0, False),
        ("email,UNSUB_TIME", "x,", 0, False),
        ("email,reason", "x,", 0, True),
        ("email,reason", "x,gone fishing", 1, True),
        ("email,type", "x,transactional", 1, True),
        ("type,source", "transactional,a new word", 1, True),
    ],
)
def test_a_row_without_a_known_reason_has_none(
    header: str, row: str, unknown: int, is_given: bool
) -> None:
    assert reasons(f"{header}\n{row}\n") == ([None], unknown, is_given)


def test_only_a_csv_file_has_the_apostrophes_of_an_export_removed() -> None:
    text = "source\n'-crm list\n''=x\n'plain\n"
    assert headings(text).texts(SOURCE).tolist() == ["-crm list", "'=x", "'plain"]
    assert headings(text, is_csv=False).texts(SOURCE).tolist() == text.split("\n")[1:4]


def test_of_several_dates_the_first_heading_counts_in_each_row() -> None:
    text = "updated,Created,timestamp\n1,2,3\n1,,3\n"
    assert headings(text).texts(DATE).tolist() == ["2", "3"]
