"""Senders and reply addresses are unambiguous, or refused with advice."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.campaign import Message
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MessageError
from mailsluice.core.named_address import parse_mailbox
from mailsluice.message import compile_message


@pytest.mark.parametrize(
    ("text", "name", "local", "domain"),
    [
        ("news@example.com", "", "news", "example.com"),
        ("<news@example.com>", "", "news", "example.com"),
        ("News <news@example.com>", "News", "news", "example.com"),
        ("  News < news@example.com > ", "News", "news", "example.com"),
        ("J. R. Smith <j@example.com>", "J. R. Smith", "j", "example.com"),
        ("O'Neil & Co. <o'neil@b.example>", "O'Neil & Co.", "o'neil", "b.example"),
        ('"News, daily" <news@example.com>', "News, daily", "news", "example.com"),
        ('"shop@example.com" <news@example.com>', "shop@example.com", "news", "example.com"),
        ('"A \\"B\\" \\\\ C" <a@b.example>', 'A "B" \\ C', "a", "b.example"),
        ("Zoë <zoë@exämple.com>", "Zoë", "zoë", "exämple.com"),
        ("=?utf-8?q?Zo=C3=AB=2C_x?= <z@example.com>", "Zoë, x", "z", "example.com"),
        ('"a..b"@docomo.example', "", "a..b", "docomo.example"),
        ('News <"a b"@example.com>', "News", "a b", "example.com"),
        ("News <news@[192.0.2.1]>", "News", "news", "[192.0.2.1]"),
        ("cron <root@localhost>", "cron", "root", "localhost"),
    ],
)
def test_unambiguous_mailboxes_are_parsed(text: str, name: str, local: str, domain: str) -> None:
    found = parse_mailbox(text)
    assert (found.display_name, found.username, found.domain) == (name, local, domain)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # the name looks like an address: some programs answer to that one
        ("shop@example.com <news@example.com>", 'it as "shop@example.com" <news@example.com>'),
        ("support@shop News <news@example.com>", 'it as "support@shop News" <news@example.com>'),
        ("News, daily <news@example.com>", 'write it as "News, daily" <news@example.com>'),
        ("a@b.example, News <n@example.com>", 'write it as "a@b.example, News" <n@example.com>'),
        # a comment is no part of the name
        ("News (daily) <news@example.com>", 'write it as "News (daily)" <news@example.com>'),
        (
            "news@example.com (News)",
            "is not an e-mail address: write it as Name <user@example.com>",
        ),
        ("News: daily <news@example.com>", 'write it as "News: daily" <news@example.com>'),
        ('Ne"ws <news@example.com>', 'write it as "News" <news@example.com>'),
        ('News "daily" <news@example.com>', 'write it as "News daily" <news@example.com>'),
        # several
        ("a@x.example, b@y.example", "holds 2 addresses: give one of them"),
        ("a@x, b@y", "holds 2 addresses: give one of them"),
        ("a@x.example; b@y.example", "is not an e-mail address"),
        ("Team: a@x.example, b@y.example;", "is a group of 2 addresses: give only one of them"),
        ("undisclosed-recipients:;", "is not an e-mail address"),
        ("<a@b.example>,", "is not an e-mail address"),
        # dots
        ("a..b@example.com", 'write it as "a..b"@example.com'),
        ("News <a.@example.com>", 'write it as News <"a."@example.com>'),
        (".a@example.com", 'write it as ".a"@example.com'),
        # broken
        ("News <@a.example,@b.example:news@example.com>", "is not an e-mail address"),  # a route
        ("News <news@example..com>", "is not an e-mail address"),
        ("News <news@exa mple.com>", "is not an e-mail address"),
        ("News <news@example.com", "is not an e-mail address"),
        ("News <news@example.com> <b@example.com>", "is not an e-mail address"),
        ("a@b@c.example", "is not an e-mail address"),
        ("a@ex_ämple.com", "the domain 'ex_ämple.com' cannot receive mail"),
        ("=?xx?q?abc?= <z@example.com>", "is not an e-mail address"),  # an unknown character set
        ("=?utf-8?q?a=0D=0AB?= <z@example.com>", "is not an e-mail address"),
        # unseen
        ("Ne\u202ews <a@b.example>", "remove U+202E (RIGHT-TO-LEFT OVERRIDE), its character 3"),
        ("a@b.example\u200b", "remove U+200B (ZERO WIDTH SPACE), its character 12"),
        ("a\x00@b.example", "remove U+0000 (a control character), its character 2"),
        ("a@b.example\r\nBcc: c@d.example", "one line: remove the line break"),
        # RFC 5321 section 4.5.3.1
        ("x" * 65 + "@example.com", "65 octets before the @"),
        ("\u00e4" * 33 + "@example.com", "66 octets before the @"),
        ('"' + "x" * 63 + '."@example.com', "66 octets before the @"),  # as it is sent
        ("a@" + ".".join(["x" * 50] * 5), "256 in all"),
        ("x" * 2_001, "at most 2000 are allowed"),
        ("", "is not an e-mail address"),
    ],
)
def test_ambiguous_mailboxes_are_refused_with_advice(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its words are looked at below)
        parse_mailbox(text)
    assert said in str(caught.value)


def test_the_longest_addresses_that_servers_accept_are_accepted() -> None:
    domain = ".".join(["x" * 61] * 3)
    assert parse_mailbox(f"{'a' * 64}@{domain}xxxx").username == "a" * 64


@pytest.mark.parametrize("field", ["sender", "reply_to"])
def test_an_error_names_the_field(field: str) -> None:
    fields = {
        "sender": "a@b.example",
        "subject": "s",
        "text": "t",
        field: "a@b.example, c@d.example",
    }
    with pytest.raises(ValidationError, match=f"{field}\n.*holds 2 addresses"):
        Message(**fields)


def test_a_return_path_has_room_for_its_token() -> None:
    fields = {"sender": "a@b.example", "subject": "s", "text": "t"}
    labels = ".".join(["x" * 46] * 4)  # 187 octets
    assert Message(**fields, return_path=f"b@{labels}.y").return_path
    with pytest.raises(ValidationError, match="is no return path"):
        Message(**fields, return_path=f"b@{labels}.yyy")


def rendered(sender: str) -> tuple[Envelope, EmailMessage]:
    message = Message(sender=sender, subject="s", text="t", reply_to=sender)
    compiled = compile_message(message, campaign="c", columns=(), now=lambda: datetime.now(UTC))
    envelope = compiled.render(1, "anna@example.com", {})
    parsed = message_from_bytes(envelope.content, policy=policy.SMTPUTF8)
    assert isinstance(parsed, EmailMessage)
    return envelope, parsed


@pytest.mark.parametrize(
    "sender", ['"a..b"@example.com', 'News <"a."@example.com>', '"a b"@x.example']
)
def test_an_odd_local_part_is_quoted_on_the_wire(sender: str) -> None:
    envelope, parsed = rendered(sender)
    (shown,) = parsed["From"].addresses
    assert shown.username == sender.partition('"')[2].partition('"')[0]
    assert envelope.sender.startswith('"')
    head = envelope.content.partition(b"\r\n\r\n")[0].decode()
    assert f"From: {envelope.sender}\r\n" in head or f" <{envelope.sender}>\r\n" in head


def _unquoted(address: str) -> str:
    """Return the local part of MAIL FROM as a server reads it."""
    local, _, domain = address.rpartition("@")
    return f"{unquote(local)}@{domain}"


_NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=40)
_LOCALS = st.text(st.sampled_from('ab.+-_=!#@ ,"\\()<>;:'), min_size=1, max_size=20)
_DOMAINS = st.sampled_from(["example.com", "bücher.example", "a-b.c.example"])


@settings(deadline=None)
@given(_NAMES, _LOCALS, _DOMAINS, st.booleans())
def test_the_envelope_sender_is_the_address_in_from(
    name: str, local: str, domain: str, quoted: bool
) -> None:
    """That holds for any name and any local part, in quotes or not."""
    written = f'"{quote(local)}"@{domain}' if quoted else f"{local}@{domain}"
    label = f'"{quote(name)}"' if quoted else name
    try:
        wanted = parse_mailbox(f"{label} <{written}>")
    except ValueError:
        return
    try:
        envelope, parsed = rendered(f"{label} <{written}>")
    except MessageError:  # a line that no header can hold
        return
    assert (wanted.username, wanted.domain) == (local, domain) or not quoted
    for field in ("From", "Reply-To"):
        (shown,) = parsed[field].addresses
        assert not parsed[field].defects or not local.isascii()
        assert f"{shown.username}@{shown.domain}" == _unquoted(envelope.sender)
        assert shown.username == wanted.username


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        found = parse_mailbox(text)
    except ValueError:
        return
    assert found.username
    assert found.domain
    assert found.username in text.replace("\\", "")
