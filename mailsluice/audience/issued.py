"""Domains that have issued addresses which RFC 5321 does not allow without quotes. Pure.

Until 2009 NTT docomo and KDDI (au) let their customers choose local parts with dots in a row, at
the end or at the beginning, and those customers still have them; addresses at ezweb.ne.jp may have
moved to au.com with their local part. SoftBank and Willcom never issued such ones. At any other
domain such a dot is a typing error.
"""

from __future__ import annotations

_DOMAINS = ("docomo.ne.jp", "ezweb.ne.jp", "au.com")


def allows_any_dots(domain: str) -> bool:
    """Whether mailboxes at this domain (in lower case), or below it, may have dots anywhere."""
    return domain in _DOMAINS or domain.endswith(tuple(f".{one}" for one in _DOMAINS))
