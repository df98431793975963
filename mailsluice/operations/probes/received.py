"""Received fields: which of them the receiving side wrote, and what the arrival says. Pure.

Servers add fields at the top (RFC 5321 section 4.4), so the topmost Received is that of the
mailbox's own host, and everything below the arrival, the field with which its organisation took the
mail from outside, may have been written by anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address, ip_network

from mailsluice.core.organisation import organisational_domain
from mailsluice.operations.probes.fields import Field, without_comments

_LOCAL_PROTOCOLS = re.compile(r"(?:UTF8)?LMTP|LOCAL|HTTP", re.IGNORECASE)
"""Protocols within one system: the mail is handed on, not taken from outside."""
_WORD = {
    word: re.compile(rf"(?:^|\s){word}\s+(?P<value>[^\s;()]{{1,255}})", re.IGNORECASE)
    for word in ("from", "by", "with")
}
_ADDRESS = re.compile(r"[\[(](?:IPv6:)?([0-9a-f:.]{3,45})[\])]", re.IGNORECASE)
_PRIVATE = tuple(
    ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
        *("100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""Networks that mail from outside does not come from (RFC 1918, 6598, 4193, and of the host)."""
_INTERNAL = (".internal", ".local", ".localdomain", ".lan", ".intranet", ".home.arpa")
_VERSION = re.compile(r"\b(TLS|SSL)[ _]?v?([0-9])(?:[._]([0-9]))?", re.IGNORECASE)
_CIPHER = re.compile(r"\b(?:cipher[ =:]{1,2}|cipher suite )([A-Za-z0-9_-]{3,64})", re.IGNORECASE)
_SECURE = re.compile(r"(?:UTF8|E)?(?:SMTP|LMTP)SA?", re.IGNORECASE)
_PLAIN = re.compile(r"(?:UTF8|E)?(?:SMTP|LMTP)A?", re.IGNORECASE)
_ALIASES = (
    {"google.com", "googlemail.com", "gmail.com"},
    {"outlook.com", "hotmail.com", "office365.com", "office365.us", "microsoft.com"},
    {"yahoo.com", "yahoo.net", "yahoodns.net", "aol.com"},
    {"icloud.com", "apple.com", "me.com", "mac.com"},
    {"messagingengine.com", "fastmail.com"},
    {"gmx.net", "gmx.com", "gmx.de", "web.de", "mail.com", "kundenserver.de", "1and1.com"},
)
"""Domains of the same receiving organisation."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received field."""

    position: int
    """Among all fields of the header."""
    by: str
    """The host that wrote the field, as it calls itself; may be empty."""
    source: str
    """The sender's host, as the writer names it; empty if the mail came from the same system."""
    protocol: str
    """The word after `with`, such as ESMTPS (RFC 3848)."""
    text: str
    """The whole value."""

    @property
    def at(self) -> float | None:
        """The moment of the field, in seconds since the epoch."""
        written = self.text.rpartition(";")[2].strip()
        with suppress(ValueError, OverflowError):
            moment = parsedate_to_datetime(written[:100])
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return None

    def took_from(self, earlier: Hop) -> bool:
        """Whether the mail came from the host of an earlier field within one system.

        That is so without a sender, with a local protocol, or from an address of a private network
        if the earlier host has the sender's name, or a name that only such a network knows.
        """
        if not self.source or _LOCAL_PROTOCOLS.match(self.protocol):
            return True
        if not (earlier.by == self.source or _is_internal(earlier.by)):
            return False
        addresses = [*_addresses(self.text.partition(" by ")[0])]
        return bool(addresses) and all(addresses)


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a mail, from the Received fields of the receiving side."""

    delivered: Hop
    """The topmost field."""
    arrival: Hop
    """The field of the host that took the mail from outside."""
    end: int
    """The position of the first field that somebody else may have written, counted from the top:
    the Received below the arrival, or the number of all fields."""
    organisations: frozenset[str]
    """The registrable domains of the receiving side."""


def route_of(fields: Sequence[Field], host: str) -> Route | None:
    """Find the fields of the receiving side; None for a mail without any Received.

    `host` is the mailbox's IMAP server, whose organisation is the receiving side, too.
    """
    hops = list(_hops(fields))
    if not hops:
        return None
    organisations = {*_organisations(hops[0].by), *_organisations(host)}
    arrival, end = hops[0], len(fields)
    for hop in hops[1:]:
        if not (arrival.took_from(hop) or _organisation(hop.by) in organisations):
            end = hop.position
            break
        organisations |= _organisations(hop.by)
        arrival = hop
    return Route(hops[0], arrival, end, frozenset(organisations))


def tls_of(hop: Hop, extra: str = "") -> str:
    """Return the TLS of a hop in words: version and cipher, `yes`, `no`, or empty if unknown.

    Args:
        hop: The Received field.
        extra: Further words of the same host about the link.
    """
    words = f"{hop.text} {extra}"
    version, cipher = _VERSION.search(words), _CIPHER.search(words)
    if version:
        number = f"{version[2]}.{version[3] or 0}"
        return f"{version[1].upper()} {number}" + (f", {cipher[1]}" if cipher else "")
    if cipher or _SECURE.fullmatch(hop.protocol):
        return f"yes, {cipher[1]}" if cipher else "yes"
    return NO_TLS if _PLAIN.fullmatch(hop.protocol) else ""


NO_TLS = "no"
"""The answer of `tls_of` for a link in clear text."""


def is_same_organisation(host: str, organisations: frozenset[str]) -> bool:
    """Whether a host's name is below one of these registrable domains."""
    return bool(_organisations(host) & organisations)


def _hops(fields: Sequence[Field]) -> Iterator[Hop]:
    for position, field in enumerate(fields):
        if field.name == "received":
            bare = without_comments(field.value.rpartition(";")[0] or field.value)
            found = {word: pattern.search(bare) for word, pattern in _WORD.items()}
            by, source, protocol = (
                match["value"] if (match := found[word]) else "" for word in ("by", "from", "with")
            )
            yield Hop(position, by.lower(), source.lower(), protocol, field.value)


def _addresses(text: str) -> Iterator[bool]:
    """Tell of each IP address in a text whether it is one of a private network."""
    for written in _ADDRESS.findall(text):
        with suppress(ValueError):
            address = ip_address(written)
            yield any(address in network for network in _PRIVATE)


def _is_internal(host: str) -> bool:
    return not _organisation(host) or host.endswith(_INTERNAL)


def _organisations(host: str) -> frozenset[str]:
    """Return the registrable domain of a host, with those of the same company."""
    own = _organisation(host)
    return frozenset().union(*(names for names in _ALIASES if own in names), {own} - {""})


def _organisation(host: str) -> str:
    """Return the registrable domain of a host; empty for an IP address or a name without a dot."""
    name = host.strip("[]").rstrip(".")
    if "." not in name or ":" in name or name.replace(".", "").isdigit():
        return ""
    return organisational_domain(name)
