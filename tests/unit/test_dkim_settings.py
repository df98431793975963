"""DKIM settings of a block: checked when it is saved, and never shown."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from blocks import SMTPConnection
from mailsluice.smtp.connection import Connection, differences
from mailsluice.smtp.dkim.keys import read_key, record
from mailsluice.smtp.dkim.settings import Dkim
from tests.dkim_keys import both_keys, ed25519_pem, rsa_pem


def settings(**fields: Any) -> dict[str, Any]:
    return {"domain": "example.com", "selector": "mail", "private_key": rsa_pem(), **fields}


def _pem(key: Any, encryption: Any = None, form: Any = PrivateFormat.PKCS8) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return pem.decode()


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda pem: pem,
        lambda pem: pem.replace("\n", ""),  # pasted into a field of one line
        lambda pem: pem.replace("\n", " "),
        lambda pem: pem.replace("\n", "\\n"),  # from a JSON file or an environment
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: f"\n  {pem}\n\n",
        lambda pem: "".join(pem.splitlines()[1:-1]),  # the base64 alone
    ],
)
@pytest.mark.parametrize("pem", [rsa_pem(), ed25519_pem()])
def test_a_key_is_read_however_it_was_pasted(spoiled: Any, pem: str) -> None:
    assert record(read_key(spoiled(pem))) == record(read_key(pem))


def test_keys_of_openssl_genrsa_are_read() -> None:
    old_form = _pem(
        load_pem_private_key(rsa_pem().encode(), None), form=PrivateFormat.TraditionalOpenSSL
    )
    assert old_form.startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert record(read_key(old_form)) == record(read_key(rsa_pem()))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("secret words", "not PEM: paste the PEM of a private key"),
        ("-----BEGIN PRIVATE KEY-----\nsecret", "cut off"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "cannot be read"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "this is a public key"),
        ("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----", "this is a certificate"),
        (
            _pem(generate_private_key(SECP256R1()), BestAvailableEncryption(b"x")),
            "has a passphrase",
        ),
        (_pem(generate_private_key(SECP256R1())), "neither RSA nor Ed25519"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nAA"
            "\n-----END RSA PRIVATE KEY-----",
            "passphrase",
        ),
        ("A" * 30_000, "30000 characters"),
    ],
)
def test_a_wrong_key_is_refused_with_advice(key: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        SMTPConnection(host="h", dkim=settings(private_key=key))
    assert "secret" not in str(caught.value)
    assert key not in str(caught.value)


def test_a_key_that_receivers_ignore_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"512 bits, and receivers accept 1024 to 4096"):
        Dkim(**settings(private_key=_short_key()))


def _short_key() -> str:
    """A key of 512 bits, which libraries make no more."""
    return (
        "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAwKbCiiXJJii0N8q9CJ23Zx20"
        "PBvn6c59+xSSvoKmNFI9KQ+JEAXShgQw3QMMH2CfCBjTtNsY+7uN/IxaVtvcgwIDAQABAkEA"
        "mPJLtF23SkI6gajFVtfPyV+9vZLyFZ9ISVPWBMW4qgPXvfZZVWRjjixcPQhX91muD7WO8pc6"
        "k4r6RZBPWSEZoQIhAOFGWnRZa6kF3UmHoyukjb6BoH3lSbgJFoU8NDTXeh1bAiEA2u1VqUk8"
        "i4TRF7jb3y6uDAr5VK2tKZdi4y2AemTmHfkCIC1NE4WQMdk0h7Jwpzxwg9yKfraydCehFDlI"
        "yQrTRgg/AiEAkskQZzmga5c4rmQWn7Rno9FzzM/Jy5oiBlnKy8V8+NkCIQCvtcR2JSn7NwoC"
        "PcZLyEvl4XICoEHyknhpp/nYcDn1bQ=="
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"domain": ""}, "needs a domain, a selector and a private key"),
        ({"selector": None}, "needs a domain, a selector and a private key"),
        ({"private_key": ""}, "needs a domain, a selector and a private key"),
        ({"domain": "example"}, "is no domain"),
        ({"domain": "example.com; p=x"}, "is no domain"),
        ({"selector": "mail\r\nBcc: x"}, "is no selector"),
        ({"selector": "mail._domainkey"}, "is no selector"),  # the rest of the name
        ({"second_selector": "ed"}, "a second signature needs"),
        ({"second_private_key": ed25519_pem()}, "a second signature needs"),
        (
            {"second_selector": "MAIL", "second_private_key": ed25519_pem()},
            "have the same selector",
        ),
        ({"also_sign": ["Received"]}, "is never signed"),
        ({"also_sign": ["X Y"]}, "is no name of a header field"),
        ({"also_sign": ["X;Y"]}, "is no name of a header field"),  # would end the list of fields
        ({"domain": f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 54}.com"}, "DNS name of"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_advice(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        Dkim(**settings(**fields))


def test_a_domain_outside_of_ascii_is_signed_in_ascii() -> None:
    assert Dkim(**settings(domain="bücher.example")).domain == "xn--bcher-kva.example"


def test_an_empty_box_signs_nothing() -> None:
    empty = dict.fromkeys(settings(), "") | {"also_sign": None}
    assert SMTPConnection(host="relay", dkim=empty) == SMTPConnection(host="relay")
    assert not SMTPConnection(host="relay").to_connection("relay").dkim.is_used


def test_private_keys_are_not_shown() -> None:
    block = SMTPConnection(host="relay", dkim=both_keys())
    connection = block.to_connection("relay")
    shown = repr(block) + repr(connection) + repr(block.dkim) + str(block) + repr(connection.dkim)
    assert "PRIVATE KEY" not in shown
    hidden = SMTPConnection.model_json_schema()["secret_fields"]
    assert {"dkim.private_key", "dkim.second_private_key"} <= {*hidden}


def test_changes_are_listed_by_name_only() -> None:
    before = Connection("red", "h", 25)
    after = Connection("red", "h", 25, dkim=Dkim(**settings()))
    assert differences(before, after) == ["dkim.domain", "dkim.selector", "dkim.private_key"]
