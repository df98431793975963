"""Ids in the replies of providers and servers, as these were seen to write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.reply_id import reply_id


@pytest.mark.parametrize(
    ("server", "text", "expected"),
    [
        ("SendGrid", "Ok: queued as bdT3qimVR7SSpBEKunexIg", "bdT3qimVR7SSpBEKunexIg"),
        (
            "Amazon SES",
            "Ok 0100016e4ab7c399-5058a2a5-d4ad-407b-92b8-94472f229325-000000",
            "0100016e4ab7c399-5058a2a5-d4ad-407b-92b8-94472f229325-000000",
        ),
        ("SparkPost", "2.0.0 OK 95/6F-30607-EA5D4555", "95/6F-30607-EA5D4555"),
        ("Mailgun", "Great success", None),  # keeps our Message-ID
        ("Mailgun", "Queued. Thank you.", None),
        ("Postmark", "2.0.0 Ok: queued as 6A59F6B2C1", "6A59F6B2C1"),
        (
            "Brevo",
            "2.0.0 OK: queued as <202508020358.47907466195@smtp-relay.sendinblue.com>",
            "202508020358.47907466195@smtp-relay.sendinblue.com",
        ),
        (
            "Mailjet",
            "OK queued as 2b7b9869-0e44-42d4-9246-1039ef6b95ee",
            "2b7b9869-0e44-42d4-9246-1039ef6b95ee",
        ),
        ("Mailjet", "2.0.0 Ok: queued as 0C0151AC06F9", "0C0151AC06F9"),
        ("Postfix", "2.0.0 Ok: queued as 0CA4412040B", "0CA4412040B"),
        ("Postfix, long ids", "2.0.0 Ok: queued as 4Wx1AbCdZqz9sTq", "4Wx1AbCdZqz9sTq"),
        ("Exim", "OK id=10HmaX-000000005vi-0000", "10HmaX-000000005vi-0000"),
        ("PowerMTA", "2.6.0 message received", None),
        (
            "Google",
            "2.0.0 OK  1696150000 e9e14a558f8ab-430d07aeb2dsi37225145ab.137 - gsmtp",
            "e9e14a558f8ab-430d07aeb2dsi37225145ab.137",
        ),
        (
            "Exchange",
            "2.6.0 <a@b.example> [InternalId=5892931461270, Hostname=X.PROD.OUTLOOK.COM] 9317 bytes"
            " in 0.2, 45 KB/sec Queued mail for delivery",
            "5892931461270",
        ),
        (
            "Yandex",
            "2.0.0 Ok: queued on smtp3m.mail.yandex.net as 1430081058-6ltgNFKSir-iHEKdOrm",
            "1430081058-6ltgNFKSir-iHEKdOrm",
        ),
        ("of several lines", "2.0.0 thank you\n2.0.0 Ok: queued as AB12.", "AB12"),
        ("another", "2.0.0 OK: queued", None),
        ("another", "Ok", None),
    ],
)
def test_the_id_is_read_from_the_reply(server: str, text: str, expected: str | None) -> None:
    assert reply_id(text) == expected


@given(st.text(max_size=300))
def test_no_reply_breaks_it_or_gives_an_id_that_is_not_one_word(text: str) -> None:
    """What a hostile server says is bounded, and has no space or line break in it."""
    for reply in (text, f"Ok: queued as {text}", f"id={text * 10}"):
        found = reply_id(reply)
        assert found is None or (len(found) <= 200 and len(found.split()) <= 1)
