"""Identities of connections for pages, without addresses, and what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailsluice.campaign import Message, Provider, SenderIdentity
from mailsluice.core.markdown import cell, table
from mailsluice.core.masking import masked
from mailsluice.core.named_address import parse_mailbox
from mailsluice.core.organisation import is_aligned
from mailsluice.message import ascii_domain


@dataclass(frozen=True, slots=True)
class ConnectionIdentity:
    """The identity on one connection, with the domains of its addresses in ASCII."""

    connection: str
    sender: str
    """The name of the sender, without addresses; may be empty."""
    sender_domain: str
    replies_to: str
    returned_to: str
    provider: Provider
    unsubscribing: tuple[str, ...]
    """How recipients unsubscribe, as List-Unsubscribe has it; without addresses."""
    headers: tuple[str, ...]
    """The names of the identity's own header fields."""

    @property
    def sender_text(self) -> str:
        """The sender as people read it."""
        return f"{self.sender} at {self.sender_domain}" if self.sender else self.sender_domain


def shown_identities(
    message: Message, identities: Mapping[str, SenderIdentity], connections: Sequence[str]
) -> list[ConnectionIdentity]:
    """Show the identities of these connections, in order."""
    return [_shown(message, name, identities[name]) for name in connections]


def _shown(message: Message, connection: str, identity: SenderIdentity) -> ConnectionIdentity:
    applied = identity.applied_to(message)
    sender_domain = ascii_domain(applied.sender).lower()
    return ConnectionIdentity(
        connection,
        masked(parse_mailbox(applied.sender).display_name),
        sender_domain,
        ascii_domain(applied.reply_to or applied.sender).lower(),
        ascii_domain(applied.return_path or applied.sender).lower(),
        identity.provider or Provider.NONE,
        _unsubscribing(identity, applied),
        tuple(header.name for header in identity.headers),
    )


def _unsubscribing(identity: SenderIdentity, applied: Message) -> tuple[str, ...]:
    ways = (
        ("one click", identity.one_click_url),
        ("own page", applied.unsubscribe_url and not identity.one_click_url),
        ("mail", identity.unsubscribe_mailbox),
    )
    return tuple(way for way, is_set in ways if is_set)


def identity_warnings(identities: Sequence[ConnectionIdentity]) -> Iterator[str]:
    """Warn where SPF cannot count for DMARC, once for connections with the same domains."""
    unaligned: dict[tuple[str, str], list[str]] = {}
    for one in identities:
        if not is_aligned(one.sender_domain, one.returned_to):
            domains = one.sender_domain, one.returned_to
            unaligned.setdefault(domains, []).append(one.connection)
    for (sender, returned_to), connections in unaligned.items():
        yield (
            f"{', '.join(connections)}: the sender is at {sender} and the return path at"
            f" {returned_to}, another organisation, so SPF does not count for DMARC: use a return"
            f" path at {sender}, or make sure that the provider signs with DKIM for {sender}"
        )


def identity_section(identities: Sequence[ConnectionIdentity]) -> list[str]:
    """The lines of the page's section."""
    header = ["connection", "sender", "replies to", "returned to", "provider", "unsubscribe by"]
    rows = [_row(one) for one in identities]
    return ["## Identities", "", *table([*header, "own headers"], rows, words=7)]


def _row(one: ConnectionIdentity) -> list[str]:
    provider = "" if one.provider is Provider.NONE else one.provider.value
    texts = (one.connection, one.sender_text, one.replies_to, one.returned_to, provider)
    lists = (one.unsubscribing, one.headers)
    return [*map(cell, texts), *(cell(", ".join(names)) for names in lists)]
