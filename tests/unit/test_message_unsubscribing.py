"""Unsubscribe links: which header fields a message has, and what their tokens prove."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.campaign import Message, SenderIdentity
from mailsluice.core.errors import MessageError
from mailsluice.message import compile_message, new_key
from mailsluice.message.unsubscribing import UnsubscribeToken, unsubscribe_tokens
from tests.unit.test_sender_identity import KEY, compiled, header, identity, rendered

CLICK = {"one_click_url": "https://events.example.com"}
MAILBOX = {"unsubscribe_mailbox": "unsubscribe@example.com"}
PAGE = {"unsubscribe_url": "https://example.com/u/{{ segment }}"}
OWN = "<https://example.com/u/a>"
TOKEN = "7-[0-9a-f]{24}"
LINK = f"<https://events.example.com/unsubscribe/{TOKEN}>"
MAIL = rf"<mailto:unsubscribe\+{TOKEN}@example.com\?subject=unsubscribe>"


@pytest.mark.parametrize(
    ("fields", "listed", "has_post"),
    [
        (CLICK, [LINK], True),
        (MAILBOX, [MAIL], False),  # RFC 8058 needs an https address
        (CLICK | MAILBOX, [LINK, MAIL], True),
        (PAGE, [OWN], True),
        (PAGE | MAILBOX, [OWN, MAIL], True),
        (PAGE | CLICK | MAILBOX, [LINK, MAIL], True),  # one https address alone
        ({"unsubscribe_url": "http://example.com/u"} | MAILBOX, ["<http://.*?>", MAIL], False),
    ],
)
def test_the_header_lists_what_is_set_up(
    fields: dict[str, Any], listed: list[str], has_post: bool
) -> None:
    mail = header(rendered(fields))
    assert re.fullmatch(", ".join(listed), mail["List-Unsubscribe"])
    assert mail["List-Unsubscribe-Post"] == ("List-Unsubscribe=One-Click" if has_post else None)


@pytest.mark.parametrize("row", [7, 2**63 - 1])
def test_lines_are_short_whatever_the_row(row: int) -> None:
    longest = {
        "one_click_url": "https://events.example.com/" + "a" * 173,
        "unsubscribe_mailbox": f"{'u' * 19}@example.com",
    }
    message = compiled(identity(**longest))
    mail = header(message.render(row, "anna@example.net", {"first_name": "A", "segment": "a"}))
    local = mail["List-Unsubscribe"].partition("mailto:")[2].partition("@")[0]
    assert len(local) <= 64


def test_the_body_has_the_page_of_the_sender_or_else_the_link() -> None:
    text = "Bye: {{ unsubscribe_url }}"
    html = '<a href="{{ unsubscribe_url }}">unsubscribe</a>'
    for fields, link in ((CLICK, LINK), (PAGE | CLICK, OWN), (PAGE, OWN)):
        mail = header(rendered(fields, text=text, html=html))
        for part in ("plain", "html"):
            body = mail.get_body((part,))
            assert body
            assert re.search(link.strip("<>"), body.get_content())
    with pytest.raises(MessageError, match="unsubscribe_url"):
        rendered(MAILBOX, text=text)


def test_the_token_proves_recipient_and_campaign() -> None:
    link = header(rendered(CLICK))["List-Unsubscribe"].strip("<>")
    token = UnsubscribeToken.parse(link.rpartition("/")[2])
    assert token
    assert token.recipient_id == 7
    assert token.is_genuine(KEY)
    assert not token.is_genuine(new_key())
    assert not token.is_genuine(None)
    assert not UnsubscribeToken(8, token.mac).is_genuine(KEY)


def test_the_message_id_does_not_tell_the_token() -> None:
    """Replies quote the Message-ID; providers get the recipient token."""
    mail = header(rendered(CLICK | {"provider": "mailjet"}))
    mac = mail["List-Unsubscribe"].rpartition("-")[2].strip(">")
    assert mac not in mail["Message-ID"]
    assert mac not in mail["X-MJ-CustomID"]
    assert "@" not in mail["List-Unsubscribe"]


def test_a_campaign_without_a_secret_has_no_link_that_leads_nowhere() -> None:
    """Campaigns of the first versions have no secret; plans and tests send no mail."""
    message = compile_message(
        Message(sender="news@example.com", subject="Hi", text="Hello"),
        campaign="spring",
        columns=[],
        now=lambda: pytest.fail("no time"),
        identity=SenderIdentity.model_validate(CLICK | MAILBOX),
    )
    assert message._unsubscribing(7, None)[0] == ""
    assert "List-Unsubscribe: <https://own/>" in message._unsubscribing(7, "https://own/")[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("one_click_url", "http://events.example.com"),
        ("one_click_url", "https://events.example.com/?a=b"),
        ("one_click_url", "https://user:pw@events.example.com"),
        ("one_click_url", "https://events.example.com/{{ email }}"),
        ("one_click_url", "https://events.example.com/\r\nBcc: a@b.c"),
        ("one_click_url", "https://" + "a" * 200),
        ("one_click_url", "events.example.com"),
        ("unsubscribe_mailbox", "Name <unsubscribe@example.com>"),
        ("unsubscribe_mailbox", "un+subscribe@example.com"),
        ("unsubscribe_mailbox", "a@b@example.com"),
        ("unsubscribe_mailbox", "u" * 20 + "@example.com"),
        ("unsubscribe_mailbox", "unsubscribe@example.com\r\nBcc: a@b.c"),
        ("unsubscribe_mailbox", "unsubscribe.@example.com"),
    ],
)
def test_a_wrong_address_is_refused_before_anything_is_sent(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match="such as"):
        SenderIdentity.model_validate({name: value})


def test_a_route_and_a_block_complete_each_other() -> None:
    block, route = identity(**CLICK, **PAGE), identity(**MAILBOX)
    assert route.over(block) == identity(**CLICK, **PAGE, **MAILBOX)


@given(st.text(max_size=60))
def test_what_is_no_token_is_not_read_as_one(text: str) -> None:
    token = UnsubscribeToken.parse(text)
    assert token is None or text.partition("-")[2] == token.mac


@given(st.integers(1, 2**63 - 1), st.binary(max_size=8))
def test_a_changed_token_is_not_genuine(row: int, noise: bytes) -> None:
    token = unsubscribe_tokens(KEY)(row)
    parsed = UnsubscribeToken.parse(token)
    assert parsed
    assert parsed.is_genuine(KEY)
    assert UnsubscribeToken.in_address(f"Un <unsubscribe+{token.upper()}@example.com>") == parsed
    changed = UnsubscribeToken(row, (noise.hex() + parsed.mac)[:24])
    assert changed.is_genuine(KEY) == (changed == parsed)
