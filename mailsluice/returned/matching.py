"""Whose mail came back: decided by proofs alone. Pure.

Either a token that only the campaign's secret can make, or the Message-ID that the campaign's mail
to this very recipient had. Who is merely named in a mail is not matched: anybody can send one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailsluice.message.identity import message_id
from mailsluice.returned.traces import Traces


@dataclass(frozen=True, slots=True)
class SentTo:
    """A recipient of a campaign."""

    recipient_id: int
    email: str
    connection: str
    campaign_id: int
    campaign: str
    return_key: str | None = field(repr=False)
    sender_domain: str
    """In ASCII."""


def by_token(found: Traces, known: Mapping[int, SentTo]) -> SentTo | None:
    """Whom the first genuine token names."""
    for token in found.tokens:
        to = known.get(token.recipient_id)
        if to and to.return_key and token.is_genuine(to.return_key):
            return to
    return None


def by_message_id(found: Traces, known: Mapping[str, SentTo]) -> SentTo | None:
    """Whose mail has had one of these Message-IDs; see `message_ids`."""
    return next((known[one] for one in found.message_ids if one in known), None)


def message_ids(known: Iterable[SentTo]) -> dict[str, SentTo]:
    """The Message-ID that each one's mail has had."""
    return {message_id(one.campaign, one.email, one.sender_domain): one for one in known}


def candidates(found: Traces) -> set[str]:
    """The addresses to look for: as they were told, and with the domain as it is stored."""
    emails = set(found.addresses)
    for one in found.addresses:
        local, _, domain = one.rpartition("@")
        emails |= {f"{local}@{domain.lower()}", one.lower()}
    return emails
