"""Private keys for DKIM: read from PEM, and the public key as DNS publishes it."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

LEAST_BITS, ADVISED_BITS, MOST_BITS = 1024, 2048, 4096
"""RFC 8301 section 3.2: verifiers ignore shorter RSA keys, and need not know longer ones."""
_LONGEST = 20_000
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END [A-Z0-9 ]{1,40}-----")
_BREAKS = re.compile(r"\\n|\\r|\s+")
_ADVICE = "paste the PEM of a private key, from -----BEGIN to the end, without a passphrase"


@lru_cache(maxsize=64)
def read_key(text: str) -> PrivateKey:
    """Read a private key from PEM, in which line breaks may be missing or written as `\\n`.

    Forms with one line for a secret lose the line breaks. The PEM's base64 alone is accepted too.

    Raises:
        ValueError: The text is no such key, or receivers would not accept its signatures. The
            message does not repeat the text.
    """
    key = _loaded(_octets(text))
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(
            "the key is neither RSA nor Ed25519, which are all that DKIM knows: make another key,"
            " for example by `openssl genrsa 2048`"
        )
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        raise ValueError(
            f"the RSA key has {key.key_size} bits, and receivers accept {LEAST_BITS} to {MOST_BITS}"
            f" (RFC 8301): make one of {ADVISED_BITS} bits"
        )
    return key


def _octets(text: str) -> bytes:
    text = text.strip()
    if len(text) > _LONGEST:
        raise ValueError(f"the private key has {len(text)} characters: {_ADVICE}")
    label, body = "PRIVATE KEY", text
    if "-----BEGIN" in text:
        match = _PEM.search(text)
        if match is None:
            raise ValueError(f"the private key is cut off, or a key with a passphrase: {_ADVICE}")
        label, body = match[1], match[2]
    if not label.endswith("PRIVATE KEY"):
        raise ValueError(f"this is a {label.lower()}, not a private key: {_ADVICE}")
    if "ENCRYPTED" in label or ":" in body:  # Proc-Type: 4,ENCRYPTED
        raise ValueError(f"the private key has a passphrase: {_ADVICE}")
    try:
        return b64decode(_BREAKS.sub("", body), validate=True)
    except (BinasciiError, ValueError):
        raise ValueError(f"the private key is not PEM: {_ADVICE}") from None


def _loaded(octets: bytes) -> object:
    try:
        return load_der_private_key(octets, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"the private key cannot be read: {_ADVICE}") from None


def algorithm(key: PrivateKey) -> str:
    """Return the algorithm of a signature, as its `a=` says (RFC 6376, RFC 8463 section 3)."""
    return "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"


def is_quick(key: PrivateKey) -> bool:
    """Whether a key signs in about 40 microseconds (Ed25519) rather than 350 or more (RSA)."""
    return isinstance(key, Ed25519PrivateKey)


def sign(key: PrivateKey, data: bytes) -> bytes:
    """Sign octets as DKIM does: Ed25519 signs their SHA-256 (RFC 8463 section 3)."""
    if isinstance(key, RSAPrivateKey):
        return key.sign(data, PKCS1v15(), SHA256())
    return key.sign(sha256(data).digest())


def public_key(key: PrivateKey) -> str:
    """Return the base64 of `p=` in the DNS record: Ed25519 keys are bare (RFC 8463 section 4)."""
    public = key.public_key()
    if isinstance(key, RSAPrivateKey):
        octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b64encode(octets).decode()


def record(key: PrivateKey) -> str:
    """Return the text of the DNS record for a key (RFC 6376 section 3.6.1)."""
    kind = "rsa" if isinstance(key, RSAPrivateKey) else "ed25519"
    return f"v=DKIM1; k={kind}; p={public_key(key)}"
