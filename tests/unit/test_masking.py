"""Addresses and secrets in the text of servers are masked."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.masking import masked, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<bob@example.com>: unknown", "<address>: unknown"),
        ("bob+tag@bücher.example, unknown", "<address>, unknown"),
        ('"Bob B"@example.com unknown', "<address> unknown"),  # a quoted local part
        ("rfc822;bob@example.com", "rfc822;<address>"),
        ("mailto:'bob@example.com'", "mailto:'<address>'"),
        ("bob@[192.0.2.1] unknown", "<address> unknown"),  # a domain literal
        ("a%b@x@relay.example refused", "<address> refused"),  # a route
        ("bob@ is no address", "<address> is no address"),  # cut off
        ('bob"@example.com unknown', "<address> unknown"),  # a stray quote
        (
            "see http://x.example/?to=bob%40example.com&a=1",
            "see http://x.example/?to=<address>&a=1",
        ),
        ("nothing to hide @ all", "nothing to hide @ all"),
        ("5.7.1 Relaying denied", "5.7.1 Relaying denied"),
    ],
)
def test_addresses_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


_words = st.text("ab.1-_+é", min_size=1, max_size=90)


@given(_words, _words, st.sampled_from(["{}", "<{}>", "({})", "[{}]", '"{}"', "x {}: y"]))
def test_no_part_of_an_address_stays(local: str, domain: str, around: str) -> None:
    hidden = masked(around.format(f"{local}@{domain}"))
    assert "@" not in hidden
    assert hidden == re.sub(r"<<address>>", "<address>", around.format("<address>"))


@given(st.text('a@<>" .', max_size=200))
def test_masking_a_masked_text_changes_nothing(text: str) -> None:
    assert masked(masked(text)) == masked(text)


def test_a_long_text_without_an_address_is_fast() -> None:
    text = "a" * 300_000 + " @"
    assert masked(text) == text  # would take minutes if a match were tried from each letter


@given(st.text("abcXYZ09!+/ ", min_size=4, max_size=30), st.text("=&-. "), st.text("=&-. "))
def test_no_secret_stays_in_plain_text(secret: str, before: str, after: str) -> None:
    assert secret not in without_secrets(f"{before}{secret}{after}", (secret,))


@given(
    st.binary(max_size=20), st.text("abcXYZ09!", min_size=6, max_size=30), st.binary(max_size=20)
)
def test_no_secret_stays_in_base64(before: bytes, secret: str, after: bytes) -> None:
    packed = base64.b64encode(before + secret.encode() + after).decode()
    shown = without_secrets(f"535 5.7.8 you said {packed}", (secret,))
    assert "<secret>" in shown


def test_a_repeated_login_is_masked() -> None:
    plain = base64.b64encode(b"\0joe\0pa55word").decode()
    for repeated in ("pa55word", base64.b64encode(b"pa55word").decode(), plain):
        shown = without_secrets(f"535 not {repeated}", ("pa55word", ""))
        assert "<secret>" in shown
        assert base64.b64encode(b"pa55word").decode()[:8] not in shown
    assert without_secrets("535 no", ("",)) == "535 no"
