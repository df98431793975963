"""Sign a request to Amazon Web Services (Signature Version 4). Pure.

Source: "Create a signed AWS API request" in Amazon's documentation. Only what a POST to the root of
a service needs: no query, no path. A library for this brings the models of all services.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key of a user or a role."""

    access_key_id: str
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def signed(
    credentials: Credentials,
    scope: tuple[str, str],
    headers: Mapping[str, str],
    body: bytes,
    now: float,
) -> dict[str, str]:
    """Return the header fields of a POST to `/`, with the signature.

    Args:
        credentials: Who asks.
        scope: The region and the service, such as ("eu-west-1", "sqs").
        headers: The fields to sign, by names in lower case; `host` has to be there.
        body: The body of the request.
        now: Seconds since the epoch; Amazon accepts five minutes of difference.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    fields = {**headers, "x-amz-date": stamp}
    if credentials.session_token:
        fields["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(fields))
    lines = "".join(f"{name}:{fields[name].strip()}\n" for name in sorted(fields))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    day = stamp[:8]
    place = "/".join((day, *scope, "aws4_request"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials.secret}".encode()
    for part in (day, *scope, "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{place}\n{digest}").hex()
    fields["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{place},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    return fields


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
