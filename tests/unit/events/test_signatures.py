"""A request is accepted only from its provider, unchanged, and not too old."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.events.signatures import (
    CLOCKS_DIFFER_SECONDS,
    MAILGUN_WINDOW_SECONDS,
    SENDGRID_WINDOW_SECONDS,
    ForgedRequestError,
    Request,
    ecdsa_key,
    signing_secret,
    verify_login,
    verify_mailgun,
    verify_sendgrid,
    verify_signed,
)

NOW = 1_785_000_000.0
BODY = b'[{"event": "delivered"}]'
_PRIVATE = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    _PRIVATE.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
).decode()
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
SIGNING_KEY = "key-0123456789abcdef"


def sendgrid(body: bytes = BODY, at: float = NOW) -> Request:
    stamp = str(int(at))
    signature = _PRIVATE.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return Request(
        {
            "x-twilio-email-event-webhook-timestamp": stamp,
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        },
        body,
    )


def mailgun(token: str = "a" * 50, at: float = NOW, key: str = SIGNING_KEY) -> Request:
    stamp = str(int(at))
    signature = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    parts = {"timestamp": stamp, "token": token, "signature": signature}
    return Request({}, orjson.dumps({"signature": parts, "event-data": {}}))


def signed(body: bytes = BODY, at: float = NOW, secret: str = SECRET) -> Request:
    stamp = str(int(at))
    content = f"msg_1.{stamp}.".encode() + body
    mac = hmac.new(signing_secret(secret), content, hashlib.sha256).digest()
    signature = f"v1,b25l v1,{base64.b64encode(mac).decode()}"
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}
    return Request(headers, body)


CHECKS: dict[str, tuple[Callable[..., Request], Callable[[Request, float], Any], float]] = {
    "sendgrid": (
        sendgrid,
        lambda request, now: verify_sendgrid(request, PUBLIC, now),
        SENDGRID_WINDOW_SECONDS,
    ),
    "mailgun": (
        mailgun,
        lambda request, now: verify_mailgun(request, SIGNING_KEY, now),
        MAILGUN_WINDOW_SECONDS,
    ),
    "signed": (
        signed,
        lambda request, now: verify_signed(request, SECRET, now),
        CLOCKS_DIFFER_SECONDS,
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_genuine_request_is_accepted_while_its_provider_may_repeat_it(name: str) -> None:
    make, check, window = CHECKS[name]
    check(make(), NOW)
    check(make(), NOW + window)
    check(make(), NOW - CLOCKS_DIFFER_SECONDS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_request_from_another_time_is_refused(name: str) -> None:
    make, check, window = CHECKS[name]
    for now in (NOW + window + 1, NOW - CLOCKS_DIFFER_SECONDS - 1):
        with pytest.raises(ForgedRequestError, match="too old, or in the future"):
            check(make(), now)


@pytest.mark.parametrize("name", ["sendgrid", "signed"])
def test_a_changed_body_or_time_stamp_is_refused(name: str) -> None:
    make, check, _ = CHECKS[name]
    genuine = make()
    with pytest.raises(ForgedRequestError):
        check(Request(genuine.headers, genuine.body + b" "), NOW)
    stamp = next(name for name in genuine.headers if name.endswith("timestamp"))
    with pytest.raises(ForgedRequestError):
        check(Request({**genuine.headers, stamp: str(int(NOW) + 1)}, genuine.body), NOW)


@pytest.mark.parametrize("name", ["sendgrid", "signed"])
def test_a_request_without_one_of_its_header_fields_is_refused(name: str) -> None:
    make, check, _ = CHECKS[name]
    genuine = make()
    for missing in genuine.headers:
        rest = {name: value for name, value in genuine.headers.items() if name != missing}
        with pytest.raises(ForgedRequestError):
            check(Request(rest, genuine.body), NOW)


def test_a_signature_with_another_key_is_refused() -> None:
    with pytest.raises(ForgedRequestError):
        verify_mailgun(mailgun(key="another"), SIGNING_KEY, NOW)
    with pytest.raises(ForgedRequestError):
        verify_signed(signed(secret="whsec_YW5vdGhlciBzZWNyZXQgYW5vdGhlcg=="), SECRET, NOW)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = other.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(ForgedRequestError):
        verify_sendgrid(sendgrid(), base64.b64encode(key).decode(), NOW)


@pytest.mark.parametrize("name", CHECKS)
@given(body=st.binary(max_size=60), value=st.text(max_size=40))
def test_whatever_comes_is_refused_and_nothing_else_happens(
    name: str, body: bytes, value: str
) -> None:
    make, check, _ = CHECKS[name]
    headers = dict.fromkeys(make().headers, value)
    with pytest.raises(ForgedRequestError):
        check(Request(headers, body), NOW)


@pytest.mark.parametrize(
    ("login", "header", "is_right"),
    [
        ("me:pass:word", "Basic " + base64.b64encode(b"me:pass:word").decode(), True),
        ("me:pass", "basic " + base64.b64encode(b"me:pass").decode(), True),
        ("me:pass", "Basic " + base64.b64encode(b"me:other").decode(), False),
        ("me:pass", "Bearer me:pass", False),
        ("a-long-token", "Bearer a-long-token", True),
        ("a-long-token", "Bearer A-long-token", False),
        ("a-long-token", "", False),
    ],
)
def test_a_login(login: str, header: str, is_right: bool) -> None:
    request = Request({"authorization": header}, BODY)
    if is_right:
        verify_login(request, login)
        return
    with pytest.raises(ForgedRequestError):
        verify_login(request, login)


@pytest.mark.parametrize("text", ["", "no key", "QUJD", "whsec_x"])
def test_a_key_that_is_none_is_refused_with_the_place_to_find_it(text: str) -> None:
    with pytest.raises(ValueError, match="Event Webhook"):
        ecdsa_key(text)
