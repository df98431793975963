"""What the identity of a connection does to a message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign import Message, Provider, SenderIdentity
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MessageError
from mailsluice.message import CompiledMessage, compile_message, new_key
from mailsluice.message.recipient_token import RecipientToken

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "2-0123456789abcdef0123456789abcdef"
ROW = {"first_name": "Anna", "segment": "a"}
MESSAGE = {
    "sender": "News <news@example.com>",
    "subject": "Hi {{ first_name }}",
    "text": "Hello {{ first_name }}",
    "headers": [{"name": "X-Campaign", "value": "spring {{ as written }}"}],
}


def identity(**fields: Any) -> SenderIdentity:
    return SenderIdentity.model_validate(fields)


def compiled(identity: SenderIdentity, **fields: Any) -> CompiledMessage:
    return compile_message(
        Message.model_validate({**MESSAGE, **fields}),
        campaign="spring",
        columns=("first_name", "segment"),
        now=lambda: NOON,
        return_key=KEY,
        identity=identity,
    )


def rendered(fields: dict[str, Any], row: dict[str, str] = ROW, **message: Any) -> Envelope:
    return compiled(identity(**fields), **message).render(7, "anna@example.net", row)


def header(envelope: Envelope) -> EmailMessage:
    parsed = message_from_bytes(envelope.content, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    assert max(map(len, envelope.content.split(b"\r\n"))) <= 998
    return parsed


def test_without_an_identity_the_bytes_on_the_wire_are_those_of_earlier_versions() -> None:
    """The expected bytes are from the version before there were identities."""
    assert rendered({}).content == (
        b"From: News <news@example.com>\r\n"
        b"X-Campaign: spring {{ as written }}\r\n"
        b"To: anna@example.net\r\n"
        b"Subject: Hi Anna\r\n"
        b"Date: Sun, 01 Mar 2026 12:00:00 +0000\r\n"
        b"Message-ID: <afcd793da63e972251a9c28fc7bc39dd@example.com>\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"MIME-Version: 1.0\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello Anna\r\n"
    )


def test_an_identity_replaces_sender_reply_address_return_path_and_unsubscribe_address() -> None:
    envelope = rendered(
        {
            "sender": "Shop <shop@mail.example.org>",
            "reply_to": "help@example.org",
            "return_path": "bounces@back.example.org",
            "unsubscribe_url": "https://example.org/u/{{ segment }}",
        }
    )
    mail = header(envelope)
    assert mail["From"] == "Shop <shop@mail.example.org>"
    assert mail["Reply-To"] == "help@example.org"
    assert mail["List-Unsubscribe"] == "<https://example.org/u/a>"
    assert envelope.sender.startswith("bounces+7=")
    assert envelope.sender.endswith("@back.example.org")


def test_the_message_id_does_not_depend_on_the_identity() -> None:
    """A recipient that moves to another connection keeps the Message-ID."""
    ids = {
        header(rendered(fields))["Message-ID"]
        for fields in ({}, {"sender": "a@b.example"}, {"provider": "sendgrid"})
    }
    assert len(ids) == 1


def test_extra_headers_are_templates_and_replace_headers_of_the_message() -> None:
    mail = header(
        rendered(
            {
                "headers": [
                    {"name": "x-campaign", "value": "{{ first_name|upper }}"},
                    {"name": "X-Same", "value": "for all"},
                ]
            },
            {**ROW, "first_name": "Zoë\r\nBcc: victim@example.com"},
        )
    )
    assert mail.get_all("X-Campaign") == ["ZOË BCC: VICTIM@EXAMPLE.COM"]
    assert mail["X-Same"] == "for all"
    assert mail["Bcc"] is None


def test_a_header_that_is_empty_for_a_recipient_is_left_out() -> None:
    fields = {"headers": [{"name": "X-Segment", "value": "{{ segment }}"}]}
    assert header(rendered(fields, {**ROW, "segment": " \r\n"}))["X-Segment"] is None
    assert header(rendered(fields))["X-Segment"] == "a"


TOKEN_OF = {
    "sendgrid": lambda mail: json.loads(mail["X-SMTPAPI"])["unique_args"]["mailsluice"],
    "sparkpost": lambda mail: json.loads(mail["X-MSYS-API"])["metadata"]["mailsluice"],
    "mailgun": lambda mail: json.loads(mail["X-Mailgun-Variables"])["mailsluice"],
    "ses": lambda mail: mail["X-SES-MESSAGE-TAGS"].removeprefix("mailsluice="),
    "postmark": lambda mail: mail["X-PM-Metadata-mailsluice"],
    "brevo": lambda mail: mail["X-Mailin-custom"].removeprefix("mailsluice:"),
    "mailjet": lambda mail: mail["X-MJ-CustomID"],
}
"""Reads the token where the provider's documentation says that its events take it from."""


@pytest.mark.parametrize("provider", TOKEN_OF)
@pytest.mark.parametrize("recipient_id", [1, 2**63 - 1])
def test_a_provider_gets_a_token_that_leads_to_the_recipient(
    provider: str, recipient_id: int
) -> None:
    message = compiled(identity(provider=provider))
    envelope = message.render(recipient_id, "anna@example.net", ROW)
    mail = header(envelope)
    assert max(map(len, envelope.content.split(b"\r\n"))) <= 90  # a token cannot be folded
    token = RecipientToken.parse(TOKEN_OF[provider](mail))
    assert token
    assert token.recipient_id == recipient_id
    assert token.is_genuine("spring", "anna@example.net", KEY)
    assert not token.is_genuine("spring", "bob@example.net", KEY)
    assert not token.is_genuine("autumn", "anna@example.net", KEY)
    assert not token.is_genuine("spring", "anna@example.net", new_key())
    own = [name for name in mail if name.lower().startswith("x-") and name != "X-Campaign"]
    assert not any("@" in str(mail[name]) for name in own)


def test_every_provider_has_a_profile() -> None:
    assert {*TOKEN_OF, "none"} == {*Provider}


def test_unkeyed_message_ids_of_old_campaigns_prove_nothing() -> None:
    message = compile_message(
        Message.model_validate(MESSAGE),
        campaign="spring",
        columns=[*ROW],
        now=lambda: NOON,
        return_key="of the older form",
        identity=identity(provider="mailjet"),
    )
    mail = header(message.render(7, "anna@example.net", ROW))
    token = RecipientToken.parse(mail["X-MJ-CustomID"])
    assert token
    assert not token.is_genuine("spring", "anna@example.net", "of the older form")


@given(st.text(max_size=80))
def test_what_is_no_token_is_not_read_as_one(text: str) -> None:
    token = RecipientToken.parse(text)
    assert token is None or text == f"{text.split('-')[0]}-{token.mac}"


@pytest.mark.parametrize(
    ("provider", "name", "value", "expected"),
    [
        (
            "sendgrid",
            "X-SMTPAPI",
            '{"category": ["spring"], "unique_args": {"segment": "a"}}',
            {"category": ["spring"], "unique_args": {"segment": "a", "mailsluice": "TOKEN"}},
        ),
        (
            "sparkpost",
            "x-msys-api",
            '{"campaign_id": "spring"}',
            {"campaign_id": "spring", "metadata": {"mailsluice": "TOKEN"}},
        ),
        ("mailgun", "X-Mailgun-Variables", '{"a": "ü"}', {"a": "ü", "mailsluice": "TOKEN"}),
    ],
)
@pytest.mark.parametrize("is_of_the_message", [True, False])
def test_the_operators_json_is_merged_with_the_token(
    provider: str, name: str, value: str, expected: Any, *, is_of_the_message: bool
) -> None:
    headers = [{"name": name, "value": value}]
    message, own = ({"headers": headers}, {}) if is_of_the_message else ({}, {"headers": headers})
    mail = header(rendered({"provider": provider, **own}, ROW, **message))
    assert len(mail.get_all(name, [])) == 1
    shown = json.loads(mail[name].replace(TOKEN_TEXT, "TOKEN"))
    assert shown == expected


TOKEN_TEXT = "7-afcd793da63e972251a9c28fc7bc39dd"


def test_tags_for_ses_are_merged_and_its_configuration_set_is_named() -> None:
    mail = header(
        rendered(
            {
                "provider": "ses",
                "configuration_set": "news-events",
                "headers": [{"name": "X-SES-MESSAGE-TAGS", "value": "campaign=spring, part=a"}],
            }
        )
    )
    assert mail["X-SES-MESSAGE-TAGS"] == f"campaign=spring, part=a, mailsluice={TOKEN_TEXT}"
    assert mail["X-SES-CONFIGURATION-SET"] == "news-events"


def test_postmark_gets_the_message_stream() -> None:
    mail = header(rendered({"provider": "postmark", "message_stream": "broadcast"}))
    assert mail["X-PM-Message-Stream"] == "broadcast"
    assert mail["X-PM-KeepID"] == "true"


def test_an_operator_decides_whether_postmark_keeps_the_message_id() -> None:
    own = {"provider": "postmark", "headers": [{"name": "x-pm-keepid", "value": "false"}]}
    assert header(rendered(own)).get_all("X-PM-KeepID") == ["false"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"headers": [{"name": "X-A", "value": "{{ segmnt }}"}]},
            "header X-A, line 1: there is no variable 'segmnt'. Did you mean 'segment'?",
        ),
        ({"headers": [{"name": "X-A", "value": "{{ ' ' }}"}]}, "header X-A: its template is empty"),
        ({"headers": [{"name": "X-A", "value": "{% if %}"}]}, "header X-A, line 1: "),
        (
            {"provider": "sendgrid", "headers": [{"name": "X-SMTPAPI", "value": "category"}]},
            "header X-SMTPAPI: the provider sendgrid gets the recipient's token in it, and it has"
            " to be JSON. Correct the header",
        ),
        (
            {"provider": "sendgrid", "headers": [{"name": "X-SMTPAPI", "value": "[1]"}]},
            "it has to be a JSON object in braces",
        ),
        (
            {
                "provider": "sendgrid",
                "headers": [{"name": "X-SMTPAPI", "value": '{"unique_args": []}'}],
            },
            "its unique_args has to be an object",
        ),
        (
            {
                "provider": "mailgun",
                "headers": [{"name": "X-Mailgun-Variables", "value": '{"a": "{{ first_name }}"}'}],
            },
            "it cannot have variables",
        ),
        (
            {"provider": "ses", "headers": [{"name": "X-SES-MESSAGE-TAGS", "value": "a=b c"}]},
            "it has to be up to 49 pairs as in campaign=spring",
        ),
        (
            {
                "provider": "ses",
                "headers": [{"name": "X-SES-MESSAGE-TAGS", "value": "mailsluice=1"}],
            },
            "the tag mailsluice is the token's",
        ),
        (
            {
                "provider": "sendgrid",
                "headers": [{"name": "X-SMTPAPI", "value": '{"to": ["a@b.c"]}'}],
            },
            'its "to" would send every mail to others',
        ),
        (
            {"provider": "sparkpost", "headers": [{"name": "X-MSYS-API", "value": '{"bcc": []}'}]},
            'its "bcc" would send every mail to others',
        ),
        (
            {"provider": "sendgrid", "headers": [{"name": "X-SMTPAPI", "value": '{"a": NaN}'}]},
            "a number in it is not finite",
        ),
        (
            {"provider": "sendgrid", "headers": [{"name": "X-SMTPAPI", "value": '{"a": 1e999}'}]},
            "a number in it is not finite",
        ),
        (
            {"provider": "mailjet", "headers": [{"name": "X-MJ-CustomID", "value": "1"}]},
            "it holds the token alone",
        ),
        (
            {"provider": "sendgrid", "headers": [{"name": "X-SMTPAPI", "value": "[" * 900}]},
            "header X-SMTPAPI: ",
        ),
        ({"configuration_set": "a"}, "configuration_set is for the provider ses"),
        (
            {
                "provider": "ses",
                "configuration_set": "a",
                "headers": [{"name": "X-SES-Configuration-Set", "value": "b"}],
            },
            "header X-SES-CONFIGURATION-SET is set by configuration_set",
        ),
        ({"unsubscribe_url": "ftp://example.com"}, "unsubscribe_url begins with 'ftp:"),
    ],
)
def test_an_identity_that_does_not_fit_the_message_is_refused_before_anything_is_sent(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(MessageError) as caught:
        compiled(identity(**fields))
    assert words in str(caught.value)


def test_a_header_that_becomes_too_long_fails_its_recipient_alone_and_shows_no_value() -> None:
    message = compiled(identity(headers=[{"name": "X-A", "value": "{{ segment }}"}]))
    with pytest.raises(
        MessageError, match=r"header X-A: 901 characters, and at most 900"
    ) as caught:
        message.render(7, "anna@example.net", {**ROW, "segment": "s" * 901})
    assert "sss" not in str(caught.value)
    header(message.render(7, "anna@example.net", {**ROW, "segment": "s" * 900}))


def test_two_headers_that_are_merged_cannot_be_given_twice() -> None:
    given = {"name": "X-SMTPAPI", "value": "{}"}
    with pytest.raises(MessageError, match=r"X-SMTPAPI: .*listed twice"):
        rendered({"provider": "sendgrid"}, headers=[given, given])
