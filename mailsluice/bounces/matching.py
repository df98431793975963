"""Whose mail came back: decided by proofs alone. Pure.

Either a token that only the campaign's secret can make or, for campaigns without a return path, the
Message-ID that the campaign's mail to this very recipient had. Nobody is matched by an address that
is merely named: anybody can send a mail. A recipient knows the token and the Message-ID of the mail
to her alone, so whatever she makes up is about herself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from mailsluice.bounces.traces import Traces
from mailsluice.core.folding import folded
from mailsluice.message.identity import message_id


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


def by_message_id(found: Traces, known: Iterable[SentTo]) -> SentTo | None:
    """Whose mail has had one of these Message-IDs."""
    names = candidates(found)
    for to in known:
        if folded(to.email) in names:
            own = message_id(to.campaign, to.email, to.sender_domain, to.return_key).encode()
            if any(compare_digest(own, one.encode()) for one in found.message_ids):
                return to
    return None


def candidates(found: Traces) -> set[str]:
    """The addresses to look for, folded: reports spell them in many ways."""
    return {folded(one) for one in found.addresses}
