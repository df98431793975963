"""Transfer encoding of bodies."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailsluice.message.body import encode_body

MARKER = b"=_0123456789abcdef"

LINES = ["x" * 998, "y" * 999, "", ".", "From x", "=_", "é", "\r", "a "]
LINES = ["x" * 998, "y" * 999, "", ".", "From x", "=_", "é", "\r", "a "]
hostile = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(list("ab =.\t\r\n\x00\x0b\x85\u2028é😀א")), max_size=300),
    st.lists(st.sampled_from(LINES), max_size=8).map("\n".join),
)


def parsed(encoded: bytes) -> EmailMessage:
    head = b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="utf-8"'
    return message_from_bytes(head + encoded, policy=default)


def read(message: EmailMessage) -> str:
    return str(message.get_content()).replace("\r\n", "\n")


@settings(deadline=None)
@given(hostile)
@example("x" * 998 + "\n" + "x" * 998)
@example("x" * 999)
@example("a\r\rb\n\rc\r\n")
@example("=" * 3000)
@example("trailing \n\t\n.\n")
def test_any_text_arrives_unchanged_in_legal_lines(text: str) -> None:
    encoded = encode_body(text, MARKER)
    message = parsed(encoded)
    reference = EmailMessage()
    reference.set_content(text, cte="base64")
    assert read(message) == read(reference)
    assert not message.defects
    assert encoded.isascii()
    assert b"\0" not in encoded
    assert encoded.endswith(b"\r\n")
    lines = encoded.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n.dots\nFrom me\n", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("nul \x00", "quoted-printable"),
        ("mostly ASCII, é", "quoted-printable"),
        ("Привет, мир", "base64"),
        (f"a --{MARKER.decode()}--", "quoted-printable"),  # would end the part
    ],
)
def test_the_shortest_safe_encoding_is_used(text: str, encoding: str) -> None:
    encoded = encode_body(text, MARKER)
    assert parsed(encoded)["Content-Transfer-Encoding"] == encoding
    assert MARKER not in encoded


def test_a_lone_surrogate_does_not_stop_a_message() -> None:
    assert parsed(encode_body("a\ud800b", MARKER)).get_content() == "a?b\r\n"
