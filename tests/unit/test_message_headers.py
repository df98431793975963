"""Header fields are read back unchanged by Python's parser, whatever they contain."""

from __future__ import annotations

import hashlib
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailsluice.core.errors import MessageError
from mailsluice.core.named_address import parse_mailbox
from mailsluice.message import message_id, new_key
from mailsluice.message.headers import address_field, field, fold, mailbox, one_line, uri

unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
NASTY = " \t\r\n\x00\x0b\x0c\x1c\x85\u2028é😀א=?_-:;,<>\"'\\()[]@aB."
hostile = st.one_of(
    unicode_text,
    st.text(
        st.sampled_from(list(" \t\r\n\x00\x0b\x0c\x1c\x85\u2028é😀א=?_-:;,<>\"'\\()[]@aB.")),
        max_size=400,
    ),
    st.text(st.sampled_from("ab c"), min_size=80, max_size=1200),
    st.builds(lambda a, b: f"{a}\r\nBcc: victim@example.com{b}", unicode_text, unicode_text),
)


def parsed(header: str) -> EmailMessage:
    return message_from_bytes(f"{header}\r\nbody\r\n".encode(), policy=default)


@settings(deadline=None)
@given(hostile)
@example("=?utf-8?q?a=0D=0ABcc:_x?=")
@example("a" * 2000)
@example("😀" * 300)
@example(" " * 100)
@example("a  b")
def test_any_subject_is_read_as_one_line(value: str) -> None:
    header = field("Subject", value)
    message = parsed(header)
    assert message.keys() == ["Subject"]
    assert message["Subject"] == one_line(value)
    assert not message["Subject"].defects
    assert header.isascii()
    assert header.endswith("\r\n")
    assert all(0 < len(line) <= 998 and line.strip() for line in header[:-2].split("\r\n"))
    assert "\r" not in header.replace("\r\n", "")
    assert "\n" not in header.replace("\r\n", "")


@settings(deadline=None)
@given(
    st.lists(st.text(st.sampled_from("abé😀"), min_size=1, max_size=12), min_size=1, max_size=60)
)
def test_lines_of_a_field_that_can_be_folded_have_at_most_76_characters(words: list[str]) -> None:
    assert all(len(line) <= 76 for line in field("Subject", " ".join(words)).split("\r\n"))


def test_an_ordinary_subject_is_readable_on_the_wire() -> None:
    assert field("Subject", "Hi Anna") == "Subject: Hi Anna\r\n"
    long = "word " * 30
    assert field("Subject", long).replace("\r\n", "") == f"Subject: {long.strip()}"


def test_a_long_word_that_fits_a_line_stays_whole() -> None:
    assert fold("X-Data", "a " + "b" * 500 + " c") == "X-Data: a\r\n " + "b" * 500 + "\r\n c\r\n"


@pytest.mark.parametrize(
    "name",
    [
        "News",
        "News & Co",
        "Example.com, Inc. (shop)",
        'The "Best" \\ Shop',
        "Zoë Müller",
        "Café, Ltd. <x@y.example>",
        "ニュース" * 20,
        "a very long name " * 12,
        "x" * 1200,
        "tab\there",
        "",
    ],
)
def test_a_display_name_is_read_back_unchanged(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    header = fold("From", mailbox(parse_mailbox(f'"{quoted}" <news@example.com>')))
    message = parsed(header)
    (address,) = message["From"].addresses
    # the parser forgets that spaces between encoded-words do not count (RFC 2047 section 6.2)
    spaces = "" if name.isascii() and len(name) < 900 else " "
    read = address.display_name.translate(str.maketrans("", "", spaces))
    assert read == one_line(name).translate(str.maketrans("", "", spaces))
    assert address.addr_spec == "news@example.com"
    assert not message["From"].defects
    assert header.isascii()
    assert max(map(len, header.split("\r\n"))) <= 998


@pytest.mark.parametrize(
    ("email", "shown", "local"),
    [
        ("anna@example.com", "anna@example.com", "anna"),
        ("a+b/c=d@mail.example.com", "a+b/c=d@mail.example.com", "a+b/c=d"),
        ('"a b"@example.com', '"a b"@example.com', "a b"),
        ('"a\\"b"@example.com', '"a\\"b"@example.com', 'a"b'),
        ("a..b@example.com", '"a..b"@example.com', "a..b"),
        (".a@example.com", '".a"@example.com', ".a"),
        ("=?utf-8?q?x?=@example.com", r'"=\?utf-8?q?x?="@example.com', "=?utf-8?q?x?="),
        ("a@[192.0.2.1]", "a@[192.0.2.1]", "a"),
    ],
)
def test_an_address_is_quoted_in_a_header_if_it_has_to_be(
    email: str, shown: str, local: str
) -> None:
    assert address_field(email) == shown
    (address,) = parsed(f"To: {shown}\r\n")["To"].addresses
    assert address.username == local


def test_a_local_part_outside_ascii_stays_as_it_is() -> None:
    assert address_field("zoë@example.com") == "zoë@example.com"


@pytest.mark.parametrize(
    "email",
    [
        "a@example.com\r\nBcc: x@example.com",
        "a@example.com\n",
        "a b@example.com",
        "a@b@example.com",
        "a@exämple.com",
        "<a@example.com>",
        "a,b@example.com",
        '"a\r\n"@example.com',
        '"a"b"@example.com',
        "a\u2028b@example.com",
        "a\ud800b@example.com",
        "a@",
        "@example.com",
        "",
    ],
)
def test_an_address_that_no_header_can_hold_is_refused_without_naming_it(email: str) -> None:
    with pytest.raises(MessageError) as caught:
        address_field(email)
    assert "example.com" not in str(caught.value)


@settings(deadline=None)
@given(unicode_text)
@example("a@b>\r\nX: <y")
def test_no_address_breaks_out_of_its_header(email: str) -> None:
    try:
        shown = address_field(email)
    except MessageError:
        return
    assert parsed(f"To: {shown}\r\n").keys() == ["To"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://x.example/u?e=a%40b&c=1", "https://x.example/u?e=a%40b&c=1"),
        (" HTTPS://x.example/a b\r\n", "HTTPS://x.example/a%20b"),
        ("https://x.example/é>\r\nBcc: x", "https://x.example/%C3%A9%3E%0D%0ABcc:%20x"),
        ("http://x.example/", "http://x.example/"),
        ("https://x.example/\u212a", "https://x.example/%E2%84%AA"),  # lower case of it: "k"
    ],
)
def test_an_unsubscribe_address_is_made_safe(value: str, expected: str) -> None:
    assert uri(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "mailto:a@b.example",
        "javascript://x",
        "http\u017f://x",
        "https://",
        "https://" + "a" * 900,
    ],
)
def test_an_invalid_unsubscribe_address_is_refused(value: str) -> None:
    with pytest.raises(MessageError, match="unsubscribe_url"):
        uri(value)


def test_a_message_id_is_a_function_of_campaign_and_recipient() -> None:
    first = message_id("spring", "anna@example.com", "news.example.com")
    assert first == message_id("spring", "anna@example.com", "news.example.com")
    assert first == "<17d1a9ca6a78a6b36fb2bb3a402c4c82@news.example.com>"  # for ever
    assert (
        len({first, *(message_id(*one, "x") for one in (("spring", "b@x"), ("fall", "b@x")))}) == 3
    )
    assert "anna" not in first


def test_a_message_id_cannot_be_computed_without_the_campaigns_secret() -> None:
    arguments = ("spring", "anna@example.com", "example.com")
    key, other = new_key(), new_key()
    keyed = message_id(*arguments, key)
    assert keyed == message_id(*arguments, key)
    assert re.fullmatch("<[0-9a-f]{32}@example.com>", keyed)
    assert len({keyed, message_id(*arguments), message_id(*arguments, other)}) == 3
    assert keyed != message_id("spring", "bert@example.com", "example.com", key)


@pytest.mark.parametrize("key", [None, "0123456789abcdef0123456789abcdef"])
def test_campaigns_of_old_versions_keep_their_message_ids(key: str | None) -> None:
    # as version 1 made it
    name = hashlib.blake2b(b"spring\0anna@example.com", digest_size=16).hexdigest()
    expected = f"<{name}@example.com>"
    assert message_id("spring", "anna@example.com", "example.com", key) == expected
