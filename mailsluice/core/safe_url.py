"""Whether secrets may be sent to a URL. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_VISIBLE = re.compile(r"[!-~]+")


def is_safe_url(value: str) -> bool:
    """Whether a URL is encrypted, or on this machine, and contains no user name."""
    try:
        url = urlsplit(value)
        host, _ = url.hostname or "", url.port
    except ValueError:
        return False
    if not host or "@" in url.netloc or not _VISIBLE.fullmatch(value):
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
