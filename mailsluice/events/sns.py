"""Messages of Amazon SNS, which carries the events of Amazon SES. Pure.

The signature is checked with the certificate of Amazon, which the caller fetches: only from the
host of SNS in a region, so that nobody can name a certificate of their own (sns.s3.amazonaws.com
would be anybody's bucket), and only for a message of the right topic and age, so that strangers
cause no requests. Source: "Verifying the signatures of Amazon SNS messages" in Amazon's
documentation.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mailsluice.events.fields import Fields, UnreadableEventError, json_of, moment
from mailsluice.events.signatures import ForgedRequestError

MAX_AGE_SECONDS = 3600.0 + 300.0
"""SNS repeats a message for up to an hour, with the time stamp of the first try."""

_HOST = r"sns\.[a-z]{2}(?:-[a-z]{1,15}){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(rf"https://{_HOST}/SimpleNotificationService-[A-Za-z0-9]{{1,100}}\.pem")
_CONFIRMATION = re.compile(rf"https://{_HOST}/\?[\x21-\x7e]{{1,2000}}")
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 SNS's default
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
_MAX_MESSAGE = 256 * 1024
"""Octets of a message in SNS."""


class SnsKind(StrEnum):
    """The kinds of messages that SNS sends."""

    NOTIFICATION = "Notification"
    """An event."""
    CONFIRMATION = "SubscriptionConfirmation"
    """The question whether this address wants the topic's messages."""


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """A message of SNS, to be trusted only after `check` and `verify`."""

    kind: SnsKind
    topic: str
    """The ARN of the topic."""
    at: float
    """When SNS sent the message first, in seconds since the epoch."""
    certificate_url: str
    content: str
    """The event, as JSON."""
    subscribe_url: str
    """The page whose visit confirms the subscription; empty for a notification."""
    signed: bytes
    signature: bytes
    version: str

    def check(self, topic: str, now: float) -> None:
        """Check the topic and the age. Raises ForgedRequestError.

        Args:
            topic: The ARN of the topic that may send here.
            now: Seconds since the epoch.
        """
        if self.topic != topic:
            raise ForgedRequestError("the message is from another topic")
        if not now - MAX_AGE_SECONDS <= self.at <= now + 300:
            raise ForgedRequestError("the time stamp is too old, or in the future")

    def verify(self, certificate: bytes) -> None:
        """Check the signature with what `certificate_url` holds. Raises ForgedRequestError."""
        try:
            key = x509.load_pem_x509_certificate(certificate).public_key()
        except ValueError:
            raise ForgedRequestError("the certificate is not readable") from None
        if not isinstance(key, RSAPublicKey):
            raise ForgedRequestError("the certificate has no RSA key")
        try:
            key.verify(self.signature, self.signed, padding.PKCS1v15(), _HASHES[self.version])
        except InvalidSignature:
            raise ForgedRequestError("the signature is wrong") from None


def message_of(body: bytes) -> SnsMessage:
    """Read a request of SNS. Raises ForgedRequestError if it cannot be one."""
    try:
        fields = Fields(json_of(body), "the request")
        if fields.text("Type") not in [*SnsKind]:
            raise UnreadableEventError("Type is unknown")
        kind = SnsKind(fields.text("Type"))
        certificate_url = _matching(_CERTIFICATE, fields, "SigningCertURL")
        subscribe_url = (
            _matching(_CONFIRMATION, fields, "SubscribeURL") if kind is SnsKind.CONFIRMATION else ""
        )
        version = fields.text("SignatureVersion")
        if version not in _HASHES:
            raise UnreadableEventError("SignatureVersion is unknown")
        return SnsMessage(
            kind,
            fields.needed("TopicArn"),
            moment(fields.needed("Timestamp"), "Timestamp"),
            certificate_url,
            _raw(fields, "Message"),
            subscribe_url,
            _to_sign(fields, kind),
            _signature(fields),
            version,
        )
    except UnreadableEventError as error:  # its words are ours, and name no value of the request
        raise ForgedRequestError(f"the request is not a message of SNS: {error}") from None


def _signature(fields: Fields) -> bytes:
    text = fields.needed("Signature", 2_000)
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise UnreadableEventError("Signature is not in base64") from None


def _to_sign(fields: Fields, kind: SnsKind) -> bytes:
    names = (name for name in _SIGNED[kind] if name in fields)
    return "".join(f"{name}\n{_raw(fields, name)}\n" for name in names).encode()


def _raw(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > _MAX_MESSAGE:
        raise UnreadableEventError(f"{name} is no text")
    return value


def _matching(pattern: re.Pattern[str], fields: Fields, name: str) -> str:
    value = _raw(fields, name)
    if not pattern.fullmatch(value):
        raise UnreadableEventError(f"{name} does not lead to SNS")
    return value
