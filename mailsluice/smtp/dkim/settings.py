"""The DKIM settings of a connection: domain, selectors and private keys."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple, Self

import idna
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from mailsluice.core.forms import Document

_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_FIELD_NAME = re.compile(r"[!-9<-~]{1,76}")
"""Without a semicolon, which ends `h=`, although names of fields may have one."""
_NEVER_SIGNED = re.compile(
    r"return-path|received|bcc|resent-bcc|comments|keywords|authentication-results"
    r"|dkim-signature|domainkey-signature|arc-.*|received-spf",
    re.IGNORECASE,
)
"""Fields that servers on the way add or remove (RFC 6376 section 5.4)."""
_LONGEST_NAME = 253


def _domain(value: str) -> str:
    try:
        name = idna.encode(value.rstrip("."), uts46=True).decode()
    except idna.IDNAError:
        name = ""
    if not _DOMAIN.fullmatch(name):
        raise ValueError(
            f"{value[:80]!r} is no domain: write that of the sender's address, such as example.com"
        )
    return name


def _selector(value: str) -> str:
    if not _SELECTOR.fullmatch(value.lower()):
        raise ValueError(
            f"{value[:80]!r} is no selector: write the name before ._domainkey in the DNS record,"
            " of letters, digits and hyphens, such as mail2026"
        )
    return value.lower()


def _field_name(value: str) -> str:
    if not _FIELD_NAME.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is no name of a header field: write one, as in X-Segment")
    if _NEVER_SIGNED.fullmatch(value):
        raise ValueError(
            f"header {value} is never signed, since mail servers change it: leave it out"
        )
    return value.lower()


_Text = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_NAME)]
FieldName = Annotated[str, AfterValidator(_field_name)]


class Signature(NamedTuple):
    """A selector with its private key."""

    selector: str
    private_key: SecretStr


class Dkim(Document):
    """Keys with which the mail of a connection is signed. Left empty: the mail is not signed."""

    model_config = ConfigDict(title="DKIM", hide_input_in_errors=True)  # it holds private keys

    domain: Annotated[_Text, AfterValidator(_domain)] | None = Field(
        None,
        description="The domain that signs: the sender's domain, or one above it. Leave all"
        " fields empty if the provider signs.",
    )
    selector: Annotated[_Text, AfterValidator(_selector)] | None = Field(
        None, description="The name of the DNS record: mail2026 for mail2026._domainkey.example.com"
    )
    private_key: SecretStr | None = Field(
        None,
        description="Stored encrypted. PEM, of RSA (2048 bits) or Ed25519; line breaks may be lost"
        " on pasting.",
    )
    second_selector: Annotated[_Text, AfterValidator(_selector)] | None = Field(
        None,
        description="For a second signature with another key, such as Ed25519 with RSA: not all"
        " receivers know Ed25519.",
    )
    second_private_key: SecretStr | None = Field(
        None, description="Stored encrypted. The private key of the second selector."
    )
    also_sign: tuple[FieldName, ...] = Field(
        (),
        max_length=20,
        description="Names of further header fields to sign, such as X-Segment. All usual fields"
        " are signed.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("also_sign", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return () if value is None else value

    @field_validator("private_key", "second_private_key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from mailsluice.smtp.dkim.keys import read_key  # loads cryptography

            read_key(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        first = (self.domain, self.selector, self.private_key)
        second = (self.second_selector, self.second_private_key)
        if any((*first, *second, self.also_sign)) and not all(first):
            raise ValueError(
                "DKIM needs a domain, a selector and a private key: add what is missing, or clear"
                " the box"
            )
        if any(second) and not all(second):
            raise ValueError(
                "a second signature needs a selector and a private key of its own: add what is"
                " missing, or clear both"
            )
        if self.selector and self.selector == self.second_selector:
            raise ValueError(
                "both signatures have the same selector, which has one key in DNS: choose another"
                " one for the second key"
            )
        for signature in self.signatures:
            name = self.record_name(signature.selector)
            if len(name) > _LONGEST_NAME:
                raise ValueError(
                    f"selector and domain make a DNS name of {len(name)} characters, more than"
                    f" {_LONGEST_NAME}: choose a shorter selector"
                )
        return self

    @property
    def is_used(self) -> bool:
        """Whether the connection's mail is signed."""
        return self.domain is not None

    @property
    def signatures(self) -> list[Signature]:
        """The selectors with their keys, in the order of the signatures."""
        pairs = (
            (self.selector, self.private_key),
            (self.second_selector, self.second_private_key),
        )
        return [Signature(selector, key) for selector, key in pairs if selector and key]

    def record_name(self, selector: str) -> str:
        """Return the DNS name of a selector's public key (RFC 6376 section 3.6.2.1)."""
        return f"{selector}._domainkey.{self.domain}"
