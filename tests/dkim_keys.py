"""Keys for DKIM, and the verification of signatures by dkimpy, which nobody here wrote."""

from __future__ import annotations

from functools import cache
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mailsluice.smtp.dkim.keys import read_key, record
from mailsluice.smtp.dkim.settings import Dkim


@cache
def rsa_pem(bits: int = 1024) -> str:
    """An RSA key, made once for each length."""
    key = generate_private_key(65_537, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def ed25519_pem() -> str:
    """An Ed25519 key, made once."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def both_keys(**fields: Any) -> Dkim:
    """Settings with an RSA key and an Ed25519 key."""
    given = {
        "domain": "example.com",
        "selector": "rsa",
        "private_key": rsa_pem(),
        "second_selector": "ed",
        "second_private_key": ed25519_pem(),
    }
    return Dkim(**{**given, **fields})


def verified(message: bytes, settings: Dkim) -> list[bool]:
    """Verify each signature of a message against the DNS records of these settings."""
    records = {
        f"{settings.record_name(selector)}.".encode(): record(
            read_key(key.get_secret_value())
        ).encode()
        for selector, key in settings.signatures
    }
    return [
        _verifies(message, number, records) for number in range(message.count(b"DKIM-Signature:"))
    ]


def _verifies(message: bytes, number: int, records: dict[bytes, bytes]) -> bool:
    checker = dkim.DKIM(message, minkey=1024)
    try:
        return bool(checker.verify(number, dnsfunc=lambda name, timeout=5: records.get(name)))
    except dkim.ValidationError:  # the body
        return False
