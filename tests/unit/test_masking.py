"""What is shown has no addresses."""

from __future__ import annotations

import pytest

from mailsluice.masking import masked


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("535 5.7.8 Authentication failed", "535 5.7.8 Authentication failed"),
        ("<ann@example.com>: rejected", "<(address)>: rejected"),
        ("from ann@example.com to bob@example.org", "from (address) to (address)"),
        ('no mailbox "ann b"@example.com here', "no mailbox (address) here"),
        ("jos\u00e9@ex\u00e4mple.com", "(address)"),
        ("see https://x.example/?e=ann%40example.com", "see (address)"),
        ("Key (email)=(ann@example.com) exists", "Key (address) exists"),
        ("meet @ noon", "meet @ noon"),
    ],
)
def test_whatever_looks_like_an_address_is_taken_out(said: str, shown: str) -> None:
    assert masked(said) == shown
