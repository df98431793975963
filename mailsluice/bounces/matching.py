"""Find the recipient of a returned mail, by proofs only. Pure.

A proof is a token that only the campaign's secret can make. For campaigns without a return path it
is the Message-ID of the campaign's mail to the recipient. An address that is merely named matches
nobody, since anybody can send a mail. Recipients know only the token and the
Message-ID of their own mail, so a mail that they forge can only be about themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from mailsluice.bounces.traces import Traces
from mailsluice.core.folding import folded
from mailsluice.message.identity import message_id
from mailsluice.message.unsubscribing import UnsubscribeToken


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
    """The domain of the sender, in ASCII."""
    sent_at: float | None = field(default=None, compare=False)
    """When the server accepted the message, in seconds since the epoch, if it is known to have."""
    provider: str | None = field(default=None, compare=False)
    """The recipient's mailbox provider, as `mailsluice.mailbox_providers` names it, if known."""


def by_token(traces: Traces, known: Mapping[int, SentTo]) -> SentTo | None:
    """Return the recipient of the first genuine token."""
    for token in traces.tokens:
        recipient = known.get(token.recipient_id)
        if recipient and recipient.return_key and token.is_genuine(recipient.return_key):
            return recipient
    return None


def by_unsubscribe_token(token: UnsubscribeToken, known: Mapping[int, SentTo]) -> SentTo | None:
    """Return the recipient who asks to unsubscribe, if the token is genuine."""
    recipient = known.get(token.recipient_id)
    return recipient if recipient and token.is_genuine(recipient.return_key) else None


def by_message_id(traces: Traces, known: Iterable[SentTo]) -> SentTo | None:
    """Return the recipient whose mail had one of these Message-IDs."""
    names = candidates(traces)
    for to in known:
        if folded(to.email) in names:
            own = message_id(to.campaign, to.email, to.sender_domain, to.return_key).encode()
            if any(compare_digest(own, name.encode()) for name in traces.message_ids):
                return to
    return None


def candidates(traces: Traces) -> set[str]:
    """Return the addresses to look for, folded, since reports spell them in many ways."""
    return {folded(address) for address in traces.addresses}
