"""A server's certificate, as far as it matters to an operator. Pure."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

SOON_DAYS = 21
"""A certificate with fewer days left is a warning."""
_MOST_NAMES = 3
_NAMING = ("commonName", "organizationName")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whose it is, who signed it, from when until when."""

    names: tuple[str, ...]
    """The hosts and addresses it is for."""
    issuer: str
    valid_from: datetime
    valid_until: datetime

    @classmethod
    def from_peer(cls, peer: Mapping[str, Any]) -> Self:
        """Read what `ssl.SSLSocket.getpeercert` gives of a verified certificate."""
        names = tuple(value for _, value in peer.get("subjectAltName", ()))
        return cls(
            names or (_name(peer["subject"]),),
            _name(peer["issuer"]),
            _moment(peer["notBefore"]),
            _moment(peer["notAfter"]),
        )

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends."""
        return (self.valid_until - now).days

    def sentence(self, now: datetime) -> str:
        """All of it, to be read."""
        more = len(self.names) - _MOST_NAMES
        names = ", ".join(self.names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        return (
            f"certificate for {names}, signed by {self.issuer}, valid"
            f" {self.valid_from:%Y-%m-%d} to {self.valid_until:%Y-%m-%d}"
            f" ({self.days_left(now)} days left)"
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


def _name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> str:
    """The common name, or the organisation, or all there is."""
    found = dict(_pairs(parts))
    return next((found[key] for key in _NAMING if key in found), ", ".join(found.values()))


def _pairs(parts: tuple[tuple[tuple[str, str], ...], ...]) -> Iterator[tuple[str, str]]:
    for part in parts:
        yield from part


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
