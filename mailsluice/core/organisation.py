"""The organisation behind a domain, which DMARC compares. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


def organisational_domain(domain: str) -> str:
    """Return the part of an ASCII domain that its owner has registered (RFC 7489 section 3.2).

    That is `example.co.uk` of `news.example.co.uk`, by the list of https://publicsuffix.org. A
    domain that is a public suffix itself is returned as it is.
    """
    name = domain.lower().rstrip(".")
    return _suffixes().privatesuffix(name) or name


def is_public_suffix(domain: str) -> bool:
    """Whether anybody may register names below an ASCII domain, such as `co.uk`."""
    return _suffixes().publicsuffix(domain) == domain


def is_aligned(one: str, other: str) -> bool:
    """Whether two ASCII domains align in DMARC's relaxed mode (RFC 7489 section 3.1)."""
    return organisational_domain(one) == organisational_domain(other)


@cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList  # takes 30 ms, and only plans need it

    return PublicSuffixList()
