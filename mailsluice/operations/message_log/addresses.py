"""How a message log shows addresses: as they are, hashed, or not at all. Pure."""

from __future__ import annotations

import hmac
import re
from enum import StrEnum

from mailsluice.core.masking import ADDRESS_MARK, masked

_DIGITS = 32


class AddressForm(StrEnum):
    """The form of recipients' addresses in a message log."""

    PLAIN = "plain"
    """As sent to."""
    HASHED = "hashed"
    """An HMAC of the address, and its domain: lines about one mailbox have the same."""
    HASHED_DOMAIN = "hashed-domain"
    """An HMAC of the address, without its domain."""
    NONE = "none"
    """Left out, with its domain."""


class Addresses:
    """Shows addresses in one form.

    Hashes are HMAC-SHA-256 (RFC 2104) of the address as compared, with a secret of the database. So
    nobody without the secret can tell whether an address is in the log, not even by trying lists.
    """

    def __init__(self, form: AddressForm, key: str) -> None:
        self._form = form
        self._key = key.encode()

    @property
    def shows_domains(self) -> bool:
        """Whether the domain of a recipient is in the log."""
        return self._form in (AddressForm.PLAIN, AddressForm.HASHED)

    def shown(self, email: str, compared: str) -> str | None:
        """The address as the log has it; `compared` is its folded form."""
        if self._form is AddressForm.PLAIN:
            return email
        if self._form is AddressForm.NONE:
            return None
        digest = hmac.digest(self._key, compared.encode("utf-8", "replace"), "sha256").hex()
        if self._form is AddressForm.HASHED_DOMAIN:
            return digest[:_DIGITS]
        return f"{digest[:_DIGITS]}@{domain_of(compared)}"

    def said(self, text: str, email: str) -> str:
        """The words of a server, in which addresses are masked unless the log shows them.

        The local part of the recipient's own address is masked where it is a word of its own.
        """
        if self._form is AddressForm.PLAIN or not text:
            return text
        text = masked(text)
        local = email.rpartition("@")[0]
        if local and local.lower() in text.lower():
            word = rf"(?<!\w){re.escape(local)}(?!\w)"
            text = re.sub(word, ADDRESS_MARK, text, flags=re.IGNORECASE)
        return text


def domain_of(email: str) -> str:
    """The domain of an address."""
    return email.rpartition("@")[2]
