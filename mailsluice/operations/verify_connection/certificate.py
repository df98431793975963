"""A server's certificate, as far as it matters to an operator. Pure."""

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
    """Whose it is, who signed it, from when until when."""

    names: tuple[str, ...]
    """The hosts and addresses it is for."""
    issuer: str
    valid_from: datetime
    valid_until: datetime

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read what a server shows, trusted or not (RFC 5280). Raises ValueError for none."""
        found = x509.load_der_x509_certificate(der)
        return cls(
            _names(found) or (_called(found.subject),),
            _called(found.issuer),
            found.not_valid_before_utc,
            found.not_valid_after_utc,
        )

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends."""
        return (self.valid_until - now).days

    def sentence(self, now: datetime) -> str:
        """All of it, to be read."""
        more = len(self.names) - _MOST_NAMES
        left = self.days_left(now)
        lasts = f"{left} days left" if now < self.valid_until else f"ended {-left - 1} days ago"
        names = ", ".join(self.names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        return (
            f"certificate for {names}, signed by {self.issuer}, valid"
            f" {self.valid_from:%Y-%m-%d} to {self.valid_until:%Y-%m-%d}"
            f" ({lasts})"
        )

    def warning(self, now: datetime) -> str | None:
        """What to say where it ends soon."""
        left = self.days_left(now)
        if left >= SOON_DAYS:
            return None
        return (
            f"the certificate ends in {left} days, on {self.valid_until:%Y-%m-%d}: see that it is"
            " renewed before, else nothing is sent any more"
        )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(one) for one in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _called(name: x509.Name) -> str:
    """The common name, or the organisation, or all there is."""
    for key in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(key):
            return str(attribute.value)
    return name.rfc4514_string()
