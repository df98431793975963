"""Signatures, verified by another library."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign import Header, Message, SenderIdentity
from mailsluice.message import compile_message
from mailsluice.smtp.dkim.canonical import relaxed_body, signed_fields
from mailsluice.smtp.dkim.settings import Dkim
from mailsluice.smtp.dkim.signature import MessageSigner, signed_names
from tests.dkim_keys import both_keys, ed25519_pem, rsa_pem, verified

NOW = 1_795_000_000
HEAD = b"From: News <news@example.com>\r\nTo: ann@example.org\r\nSubject: Hello\r\n"
ONE_CLICK = SenderIdentity(one_click_url="https://events.example.com")


def signed(message: bytes, settings: Dkim | None = None) -> bytes:
    return MessageSigner(settings or both_keys()).sign(message, NOW)


def rendered(message: Message, variables: dict[str, str], email: str = "ann@example.org") -> bytes:
    compiled = compile_message(
        message,
        campaign="spring",
        columns=[*variables],
        now=lambda: datetime.fromtimestamp(NOW, UTC),
        return_key="2-key",
        identity=ONE_CLICK,
    )
    return compiled.render(1, email, variables).content


@pytest.mark.parametrize(
    "body",
    [
        b"",  # no body at all
        b"\r\n",
        b"\r\n\r\n\r\n",  # nothing but empty lines
        b"Hello\r\n",
        b"Hello\r\n\r\n\r\n",  # empty lines at the end
        b"spaces  and\t \ttabs \t\r\n at both ends   \r\n \t\r\n",
        b"\r\nfirst line empty\r\n",
        b".\r\n..dots\r\n",
        b"x" * 998 + b"\r\n",
    ],
)
def test_each_kind_of_body_verifies(body: bytes) -> None:
    assert verified(signed(HEAD + b"\r\n" + body), both_keys()) == [True, True]


@pytest.mark.parametrize("bits", [1024, 2048])
def test_each_length_of_rsa_verifies(bits: int) -> None:
    settings = Dkim(domain="example.com", selector="s", private_key=rsa_pem(bits))
    assert verified(signed(HEAD + b"\r\nx\r\n", settings), settings) == [True]


def test_ed25519_alone_verifies() -> None:
    settings = Dkim(domain="example.com", selector="s", private_key=ed25519_pem())
    assert verified(signed(HEAD + b"\r\nx\r\n", settings), settings) == [True]


TEXTS = st.text(max_size=200) | st.sampled_from(
    ["", " ", "ä" * 300, "x " * 600, "line \t\r\n\r\n", "=\n.", "\n\n\n"]
)


@given(subject=TEXTS, text=TEXTS, name=TEXTS, has_html=st.booleans())
def test_every_message_verifies(subject: str, text: str, name: str, has_html: bool) -> None:
    message = Message(
        sender="Grüße von uns <news@example.com>",
        reply_to="answers@example.com",
        subject="Hi {{ subject }}",
        text="  {{ text }}\n\n{{ name }}\t \n{{ unsubscribe_url }}\n\n",
        html="<p>  Hallo {{ name }},</p>\n{{ text }}" if has_html else None,
    )
    content = rendered(message, {"subject": subject, "text": text, "name": name})
    assert verified(signed(content), both_keys()) == [True, True]


def test_local_parts_outside_of_ascii_verify() -> None:
    content = rendered(Message(sender="n@example.com", subject="x", text="x"), {}, "jörg@acme.org")
    assert verified(signed(content), both_keys()) == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        (b"Hello\r\n\r\nText", b"Hello\r\n\r\nTexts"),  # the body
        (b"From: News", b"From: Nevs"),
        (b"From: News", b"From: Other <other@example.net>\r\nFrom: News"),  # oversigned
        (b"Subject: Hello\r\n", b"Subject: Hello\r\nSubject: Bye\r\n"),
        (b"Subject: Hello\r\n", b"Subject: Hello\r\nReply-To: other@example.net\r\n"),  # absent
        (b"List-Unsubscribe: <https://a.example>", b"List-Unsubscribe: <https://b.example>"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
    ],
)
def test_a_change_of_what_is_signed_does_not_verify(change: tuple[bytes, bytes]) -> None:
    message = signed(
        b"List-Unsubscribe: <https://a.example>\r\n"
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" + HEAD + b"\r\nText\r\n"
    )
    assert verified(message, both_keys()) == [True, True]
    changed = message.replace(*change)
    assert changed != message
    assert True not in verified(changed, both_keys())


def test_a_change_of_spaces_and_folding_still_verifies() -> None:
    message = signed(HEAD + b"\r\nText of  one line\r\n")
    moved = message.replace(b"Text of  one line", b"Text of one\tline  ").replace(
        b"From: News <", b"FROM:News\r\n\t<"
    )
    assert verified(moved, both_keys()) == [True, True]


def test_further_fields_are_signed_where_the_block_lists_them() -> None:
    message = Message(
        sender="n@example.com",
        subject="x",
        text="x",
        headers=(Header(name="X-Segment", value="gold"),),
    )
    settings = both_keys(also_sign=["X-Segment"])
    content = signed(rendered(message, {}), settings)
    assert verified(content, settings) == [True, True]
    assert True not in verified(content.replace(b": gold", b": lead"), settings)


def test_signatures_are_short_lines_in_front_of_an_unchanged_message() -> None:
    message = HEAD + b"\r\nText\r\n"
    settings = both_keys()
    content = signed(message, settings)
    assert content.endswith(message)
    added = content.removesuffix(message)
    assert len(added) == MessageSigner(settings).octets
    assert max(map(len, added.split(b"\r\n"))) <= 78
    assert re.findall(rb"^DKIM-Signature: v=1; a=([a-z0-9-]+);", added, re.MULTILINE) == [
        b"rsa-sha256",
        b"ed25519-sha256",
    ]


def test_unsubscribing_is_covered() -> None:
    """RFC 8058 section 4 requires it, and so do Gmail and Yahoo."""
    assert {"list-unsubscribe", "list-unsubscribe-post"} <= {*signed_names()}


def test_the_last_field_of_a_name_is_signed_first() -> None:
    head = b"X: 1\r\nx : 2\r\nY: a\r\n\t b"
    assert signed_fields(head, [b"x", b"x", b"x", b"y"]) == b"x:2\r\nx:1\r\ny:a b\r\n"


@given(st.text(" \t\r\nab", max_size=60))
def test_the_canonical_body_is_that_of_the_definition(text: str) -> None:
    """RFC 6376 section 3.4.4, in its own words."""
    lines = text.replace("\r", "").split("\n")
    kept = [re.sub(r"[ \t]+", " ", line.rstrip(" \t")) for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    expected = "".join(f"{line}\r\n" for line in kept).encode()
    assert relaxed_body("".join(f"{line}\r\n" for line in lines).encode()) == expected
