"""Domains that issued addresses which RFC 5321 does not allow without quotes. Pure.

Until 2009, NTT docomo and KDDI (au) let their customers choose local parts with consecutive dots,
or with a dot at the beginning or the end. Those customers still have their addresses; addresses at
ezweb.ne.jp may have moved to au.com with their local part. SoftBank and Willcom never issued such
addresses. At any other domain such a dot is a typing error.
"""

from __future__ import annotations

_DOMAINS = ("docomo.ne.jp", "ezweb.ne.jp", "au.com")


def allows_any_dots(domain: str) -> bool:
    """Whether local parts at this domain (in lower case) may have dots anywhere."""
    return domain in _DOMAINS or domain.endswith(tuple(f".{parent}" for parent in _DOMAINS))
