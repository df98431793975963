"""Replies to FETCH in the forms of several servers."""

from __future__ import annotations

from mailsluice.bounces.fetched import Fetched, fetched

NOON = 1_767_614_400.0
DATE = b'INTERNALDATE "05-Jan-2026 12:00:00 +0000"'


def test_attributes_may_come_before_or_after_the_mail() -> None:
    mails = fetched(
        [
            (b"1 (UID 7 " + DATE + b" BODY[]<0> {2}", b"ab"),
            b")",
            (b"2 (BODY[]<0> {3}", b"cde"),
            b" UID 9 " + DATE + b" FLAGS (\\Seen))",
        ]
    )
    assert mails == [Fetched("7", NOON, b"ab"), Fetched("9", NOON, b"cde")]


def test_an_empty_mail_without_a_literal_is_read() -> None:
    for empty in (b"NIL", b'""'):
        mails = fetched([b"1 (UID 7 " + DATE + b" BODY[]<0> " + empty + b")"])
        assert mails == [Fetched("7", NOON, b"")]


def test_unsolicited_data_of_the_server_is_no_mail() -> None:
    news = b"5 (UID 3 FLAGS (\\Deleted))"
    mail = (b"1 (UID 7 " + DATE + b" BODY[]<0> {2}", b"ab")
    assert fetched([news, mail, b")", news]) == [Fetched("7", NOON, b"ab")]
    assert fetched([None]) == []


def test_a_date_in_another_zone_is_the_same_moment() -> None:
    date = b'INTERNALDATE " 5-Jan-2026 07:00:00 -0500"'
    assert fetched([(b"1 (UID 7 " + date + b" BODY[] {1}", b"a"), b")"])[0].at == NOON
