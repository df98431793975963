"""Organisational domains and DMARC's relaxed alignment."""

from __future__ import annotations

import pytest

from mailsluice.core.organisation import is_aligned, organisational_domain


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.com", "example.com"),
        ("a.b.Example.COM.", "example.com"),
        ("news.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),  # a public suffix itself (RFC 7489 section 3.2)
        ("xn--bcher-kva.example.de", "example.de"),
        ("mail.xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("localhost", "localhost"),
        ("a.test.invented-suffix", "test.invented-suffix"),
    ],
)
def test_the_organisational_domain_is_the_registered_one(domain: str, expected: str) -> None:
    assert organisational_domain(domain) == expected


@pytest.mark.parametrize(
    ("one", "other", "aligned"),
    [
        ("example.com", "bounces.example.com", True),
        ("news.example.com", "bounces.example.com", True),
        ("example.co.uk", "other.co.uk", False),
        ("example.com", "example.org", False),
        ("example.com", "notexample.com", False),
    ],
)
def test_domains_align_if_they_have_one_owner(one: str, other: str, *, aligned: bool) -> None:
    assert is_aligned(one, other) == aligned
    assert is_aligned(other, one) == aligned
