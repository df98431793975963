"""The messages of a login with an access token: XOAUTH2 (Google, Microsoft), OAUTHBEARER. Pure.

A server that refuses the token gives the reason as JSON first, and waits for an answer before it
refuses (RFC 7628 section 3.2.3).
"""

from __future__ import annotations

TOKEN_METHODS = ("xoauth2", "oauthbearer")
"""The methods, the preferred one first."""
AFTER_REASON = {"xoauth2": b"", "oauthbearer": b"\x01"}
"""The answer to the reason of a refusal, by method."""


def first_response(method: str, username: str, host: str, port: int, token: str) -> bytes:
    """Return a client's first response (RFC 7628 section 3.1; names as in RFC 5801 section 4)."""
    if method == "xoauth2":
        return f"user={username}\x01auth=Bearer {token}\x01\x01".encode()
    name = username.replace("=", "=3D").replace(",", "=2C")
    parts = (f"n,a={name},", f"host={host}", f"port={port}", f"auth=Bearer {token}", "", "")
    return "\x01".join(parts).encode()
