"""Previews show a message without addresses."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.operations.plan.preview import MOST_SHOWN, preview


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi ann@example.com!", "Hi <address>!"),
        ("https://x.example/u?e=ann%40example.com&n=1", "https://x.example/u?e=<address>&n=1"),
        ("https://x.example/u?e=ann@example.com&n=1", "https://x.example/u?e=<address>&n=1"),
        ("ANN@EXAMPLE.COM", "<address>"),
        ("write to help@other.example", "write to <address>"),
        ("https://x.example/?e=bob%40other.example", "https://x.example/?e=<address>"),
        ("@media print { p { color: red } }", "@media print { p { color: red } }"),
    ],
)
def test_the_preview_hides_addresses_and_keeps_the_rest(text: str, shown: str) -> None:
    assert preview("red", "", text, None, "ann@example.com", 1).text == shown


@given(
    st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}", fullmatch=True),
    st.sampled_from(["{}", "<{}>", "u?e={}&n=1", "'{}'", "x {}: y"]),
    st.booleans(),
)
def test_the_preview_hides_the_address_in_every_encoding(
    local: str, around: str, quoted: bool
) -> None:
    email = f"{local}@example.com"
    text = around.format(quote(email, safe="") if quoted else email)
    assert preview("red", "", text, None, email, 1).text == around.format("<address>")


def test_the_page_shows_subject_text_and_source() -> None:
    lines = preview("red", "Hi *Ann*", "Hello\n```\nAnn", "<p>Hello</p>", "a@b.example", 2_048)
    page = "\n".join(lines.markdown())
    assert "Its size is 2.0 kB." in page
    assert r"Subject: Hi \*Ann\*" in page
    assert "\n````text\nHello\n```\nAnn\n````\n" in page  # the text cannot end the block
    assert "\n```html\n<p>Hello</p>\n```\n" in page
    assert "not shown" not in page


def test_long_messages_are_cut() -> None:
    page = "\n".join(
        preview("red", "Hi", "a" * MOST_SHOWN, "b" * 9_000, "a@b.example", 1).markdown()
    )
    assert "a" * MOST_SHOWN in page
    assert "b" * MOST_SHOWN in page
    assert "b" * (MOST_SHOWN + 1) not in page
    assert page.count("(the rest is not shown)") == 1
