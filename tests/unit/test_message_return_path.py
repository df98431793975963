"""Return paths name their recipients, and cannot be forged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.campaign import Message
from mailsluice.message.return_path import Token, return_paths, tokens

KEY = "0123456789abcdef0123456789abcdef"
ids = st.integers(1, 2**63 - 1)


@given(ids, st.sampled_from([str.lower, str.upper, str.title]))
def test_the_token_is_found_in_any_case(recipient_id: int, change: Callable[[str], str]) -> None:
    address = change(return_paths("bounces@example.com", KEY)(recipient_id))
    (token,) = tokens(f"To: <{address}>\r\n".encode())
    assert token.recipient_id == recipient_id
    assert token.is_genuine(KEY)


@given(ids, ids, st.text("0123456789abcdef", min_size=12, max_size=12))
def test_a_token_of_another_recipient_or_campaign_or_a_forged_one_is_not_genuine(
    mine: int, other: int, mac: str
) -> None:
    (token,) = tokens(return_paths("b@example.com", KEY)(mine).encode())
    assert not token.is_genuine(KEY[::-1])
    assert Token(other, token.mac).is_genuine(KEY) is (mine == other)
    assert Token(mine, mac).is_genuine(KEY) is (mac == token.mac)


@given(ids, st.integers(1, 31))
def test_a_return_path_is_not_longer_than_servers_accept(recipient_id: int, length: int) -> None:
    path = f"{'b' * length}@example.com"
    assert Message(sender="n@example.com", subject="s", text="t", return_path=path)
    local, _, domain = return_paths(path, KEY)(recipient_id).partition("@")
    assert len(local) <= 64  # RFC 5321 section 4.5.3.1.1
    assert re.fullmatch(r"b+\+[0-9]+=[0-9a-f]{12}", local)
    assert domain == "example.com"


@pytest.mark.parametrize(
    "path",
    [
        f"{'b' * 32}@example.com",  # no room for the token
        "News <bounces@example.com>",
        "bounces",
        "bounces@localhost",
        "böunces@example.com",
        "a@b@example.com",
        "a..b@example.com",
        "bounces@example.com\r\nBcc: x@example.com",
        '"a b"@example.com',
    ],
)
def test_an_invalid_return_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="no return path: write a bare address in ASCII"):
        Message(sender="n@example.com", subject="s", text="t", return_path=path)


def test_an_empty_field_of_the_form_is_no_return_path() -> None:
    message = Message(sender="n@example.com", subject="s", text="t", return_path="")
    assert message.return_path is None


def test_the_distinct_tokens_of_a_mail_are_found_in_order() -> None:
    path = return_paths("bounces@example.com", KEY)
    content = f"To: {path(2)}\r\nX: {path(1)} {path(2)}\r\n\r\nx+9=12@example.com".encode()
    assert [token.recipient_id for token in tokens(content)] == [2, 1]


def test_tokens_of_neighbours_have_nothing_in_common() -> None:
    macs = [tokens(return_paths("b@example.com", KEY)(i).encode())[0].mac for i in range(1, 1_000)]
    assert len(set(macs)) == len(macs)
    assert max(Counter(mac[:1] for mac in macs).values()) < 150
