"""A server's certificate, as an operator needs to see it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.x509.oid import NameOID

SOON_DAYS = 21
"""A certificate with fewer days left is a warning."""
_MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Certificate:
    """The names, the issuer and the validity of a certificate."""

    names: tuple[str, ...]
    """The host names and IP addresses that the certificate is for."""
    issuer: str
    valid_from: datetime
    valid_until: datetime

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Parse a certificate, trusted or not (RFC 5280). Raises ValueError if it is invalid."""
        parsed = x509.load_der_x509_certificate(der)
        return cls(
            _names(parsed) or (_common_name(parsed.subject),),
            _common_name(parsed.issuer),
            parsed.not_valid_before_utc,
            parsed.not_valid_after_utc,
        )

    def days_left(self, now: datetime) -> int:
        """Whole days until the certificate expires."""
        return (self.valid_until - now).days

    def sentence(self, now: datetime) -> str:
        """Describe the certificate in one sentence."""
        more = len(self.names) - _MOST_NAMES
        left = self.days_left(now)
        lasts = f"{left} days left" if now < self.valid_until else f"expired {-left - 1} days ago"
        names = ", ".join(self.names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        return (
            f"certificate for {names}, signed by {self.issuer}, valid"
            f" {self.valid_from:%Y-%m-%d} to {self.valid_until:%Y-%m-%d}"
            f" ({lasts})"
        )

    def warning(self, now: datetime) -> str | None:
        """The warning about a certificate that expires soon; None for other certificates."""
        left = self.days_left(now)
        if left >= SOON_DAYS:
            return None
        return (
            f"the certificate expires in {left} days, on {self.valid_until:%Y-%m-%d}: have it"
            " renewed before then, or nothing can be sent any more"
        )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _common_name(name: x509.Name) -> str:
    """The common name, else the organisation, else the whole name."""
    for key in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(key):
            return str(attribute.value)
    return name.rfc4514_string()
