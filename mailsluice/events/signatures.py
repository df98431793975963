"""Prove that a request comes from the provider, and that it is not too old. Pure.

A request that is sent again changes nothing, because each event counts once (see
`mailsluice.store.deliveries`). So the age that is accepted is as long as the provider repeats a
request that got no answer: an outage of ours must not lose events.

Providers that sign their requests: SendGrid (ECDSA over time stamp and body), Mailgun (HMAC over a
time stamp and a random token), Amazon SNS (a certificate, see `mailsluice.events.sns`) and
Mailsluice's own format (HMAC over time stamp and body, as the Standard Webhooks specification has
it). Postmark, SparkPost, Brevo and Mailjet send a login instead, over TLS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailsluice.events.fields import Fields, UnreadableEventError, json_of

CLOCKS_DIFFER_SECONDS = 300.0
"""The most seconds between two clocks. The age of a request that its sender signs anew for each try
(Standard Webhooks) may be that, and no time stamp may be further in the future."""
SENDGRID_WINDOW_SECONDS = 86_400.0 + CLOCKS_DIFFER_SECONDS
"""SendGrid repeats a request for 24 hours."""
MAILGUN_WINDOW_SECONDS = 8 * 3_600.0 + CLOCKS_DIFFER_SECONDS
"""Mailgun repeats a request for 8 hours."""


class ForgedRequestError(Exception):
    """A request that is not proven to come from the provider now; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that prove its sender."""

    headers: Mapping[str, str]
    """Header fields, by their names in lower case."""
    body: bytes = field(repr=False)


def verify_sendgrid(request: Request, public_key: str, now: float) -> None:
    """Check the signature of SendGrid's Signed Event Webhook. Raises ForgedRequestError.

    `public_key` is the verification key as SendGrid shows it: base64 of a DER structure.
    """
    stamp = _header(request, "x-twilio-email-event-webhook-timestamp")
    signature = _base64(_header(request, "x-twilio-email-event-webhook-signature"))
    _check_time(stamp, now, SENDGRID_WINDOW_SECONDS)
    try:
        ecdsa_key(public_key).verify(
            signature, stamp.encode() + request.body, ec.ECDSA(hashes.SHA256())
        )
    except InvalidSignature:
        raise ForgedRequestError("the signature is wrong") from None


def ecdsa_key(public_key: str) -> ec.EllipticCurvePublicKey:
    """Read SendGrid's verification key. Raises ValueError if it is none."""
    try:
        key = load_der_public_key(base64.b64decode(public_key.strip(), validate=True))
    except (ValueError, binascii.Error):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError(
            "this is not a verification key of SendGrid: copy it from Settings, Mail Settings,"
            " Event Webhook, where it begins with MFkw"
        )
    return key


def verify_mailgun(request: Request, signing_key: str, now: float) -> str:
    """Check the signature in a request of Mailgun, and return its token, which is used once.

    The signature does not cover the events, so the token alone makes a request unique. Raises
    ForgedRequestError.
    """
    try:
        signature = Fields(json_of(request.body)).inner("signature")
    except UnreadableEventError as error:
        raise ForgedRequestError(str(error)) from None
    stamp, token = signature.text("timestamp"), signature.text("token")
    _check_time(stamp, now, MAILGUN_WINDOW_SECONDS)
    expected = hmac.new(signing_key.encode(), f"{stamp}{token}".encode(), hashlib.sha256)
    _check_equal(expected.hexdigest(), signature.text("signature"))
    return token


def verify_signed(request: Request, secret: str, now: float) -> None:
    """Check the HMAC of the Standard Webhooks specification. Raises ForgedRequestError.

    Header fields: `webhook-id`, `webhook-timestamp` (seconds since the epoch) and
    `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`; several
    signatures are separated by spaces.
    """
    name, stamp = _header(request, "webhook-id"), _header(request, "webhook-timestamp")
    _check_time(stamp, now, CLOCKS_DIFFER_SECONDS)
    signed = f"{name}.{stamp}.".encode() + request.body
    digest = hmac.new(signing_secret(secret), signed, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    given = _header(request, "webhook-signature").split(" ")[:10]
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in given):
        raise ForgedRequestError("the signature is wrong")


def signing_secret(secret: str) -> bytes:
    """Return the octets of a secret; one that begins with `whsec_` is in base64."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ in the secret is not base64") from None


def verify_login(request: Request, login: str) -> None:
    """Check HTTP basic authentication (RFC 7617), or a bearer token (RFC 6750).

    `login` is `user:password`, or the token alone. Raises ForgedRequestError.
    """
    scheme, _, given = _header(request, "authorization").partition(" ")
    if ":" in login:
        expected = base64.b64encode(login.encode()).decode()
        _check_equal(f"basic {expected}", f"{scheme.lower()} {given.strip()}")
    else:
        _check_equal(f"bearer {login}", f"{scheme.lower()} {given.strip()}")


def _header(request: Request, name: str) -> str:
    value = request.headers.get(name, "")
    if not value:
        raise ForgedRequestError(f"the header field {name} is missing")
    return value


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ForgedRequestError("the signature is not in base64") from None


def _check_time(stamp: str, now: float, window: float) -> None:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise ForgedRequestError("the signature has no time stamp")
    if not -CLOCKS_DIFFER_SECONDS <= now - int(stamp) <= window:
        raise ForgedRequestError("the time stamp is too old, or in the future")


def _check_equal(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise ForgedRequestError("the login or signature is wrong")
