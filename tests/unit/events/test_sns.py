"""Messages of Amazon SNS: certificate, signature, topic and age."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from mailsluice.events.signatures import ForgedRequestError
from mailsluice.events.sns import SnsKind, message_of

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
NOW = datetime(2026, 7, 25, 17, 20, tzinfo=UTC)
_SIGNED = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Subject",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)


@cache
def key() -> rsa.RSAPrivateKey:
    """The RSA key that signs all notifications here."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def certificate() -> bytes:
    """A certificate for the key, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key().public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key(), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def notification(version: str = "2", **fields: Any) -> dict[str, Any]:
    """A signed message of SNS."""
    values: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": "{}",
        "Timestamp": "2026-07-25T17:20:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        **fields,
    }
    text = "".join(f"{name}\n{values[name]}\n" for name in _SIGNED if name in values)
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key().sign(text.encode(), padding.PKCS1v15(), algorithm)
    return {**values, "Signature": base64.b64encode(signature).decode()}


def verify(values: dict[str, Any], now: datetime = NOW, topic: str = TOPIC) -> None:
    message = message_of(orjson.dumps(values))
    message.check(topic, now.timestamp())
    message.verify(certificate())


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_notification_is_accepted(version: str) -> None:
    verify(notification(version))
    verify(notification(version, Subject="Amazon SES"))
    assert message_of(orjson.dumps(notification(Message='{"a": 1}'))).content == '{"a": 1}'


def test_a_confirmation_names_the_page_to_visit() -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336"
    values = notification(Type="SubscriptionConfirmation", SubscribeURL=url, Token="2336")
    verify(values)
    message = message_of(orjson.dumps(values))
    assert (message.kind, message.subscribe_url) == (SnsKind.CONFIRMATION, url)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp"])
def test_a_changed_message_is_refused(name: str) -> None:
    changed = {"Message": "{} ", "MessageId": "another", "Timestamp": "2026-07-25T17:20:01.000Z"}
    with pytest.raises(ForgedRequestError, match="signature is wrong"):
        verify({**notification(), name: changed[name]})


def test_another_topic_and_another_time_are_refused() -> None:
    with pytest.raises(ForgedRequestError, match="another topic"):
        verify(notification(), topic=f"{TOPIC}2")
    for now in (NOW + timedelta(hours=2), NOW - timedelta(minutes=6)):
        with pytest.raises(ForgedRequestError, match="too old, or in the future"):
            verify(notification(), now)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.example.org/a.pem",
        "https://example.org/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@example.org/a.pem",
        "https://sns.eu-west-1.amazonaws.com/../a.pem?x",
        "https://sns.eu-west-1.amazonaws.com/a.pem\n",
        "https://s3.eu-west-1.amazonaws.com/a.pem",
        # The bucket "sns" of Amazon S3 could be anybody's.
        "https://sns.s3.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem",
        "",
        7,
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(url: Any) -> None:
    with pytest.raises(ForgedRequestError, match="SigningCertURL"):
        message_of(orjson.dumps({**notification(), "SigningCertURL": url}))


def test_a_confirmation_that_leads_elsewhere_is_refused() -> None:
    values = notification(
        Type="SubscriptionConfirmation", SubscribeURL="https://example.org/?a", Token="1"
    )
    with pytest.raises(ForgedRequestError, match="SubscribeURL"):
        message_of(orjson.dumps(values))


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "ap-southeast-4", "cn-north-1"])
def test_certificates_of_all_regions_are_fetched(region: str) -> None:
    end = ".cn" if region.startswith("cn") else ""
    url = f"https://sns.{region}.amazonaws.com{end}/SimpleNotificationService-a1.pem"
    verify(notification(SigningCertURL=url))


@pytest.mark.parametrize(
    "fields", [{"Type": "ann@example.com"}, {"Signature": "ann@example.com"}, {"Timestamp": "ann@"}]
)
def test_the_words_of_a_refusal_name_no_value(fields: dict[str, str]) -> None:
    with pytest.raises(ForgedRequestError) as refused:
        message_of(orjson.dumps({**notification(), **fields}))
    assert "ann" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"no", b'{"Type": "Notification"}'])
def test_another_request_is_refused(content: bytes) -> None:
    with pytest.raises(ForgedRequestError, match="not a message of SNS"):
        message_of(content)
