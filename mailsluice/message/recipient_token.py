"""Recipient tokens: what a provider's event says about its recipient, instead of an address. Pure.

A token is `<row>-<mac>`. The row leads to the recipient and the campaign; the MAC is that of the
recipient's Message-ID, which is keyed with the campaign's secret. So a message costs one hash for
both, and a token proves itself wherever it occurs, also where a provider replaces the Message-ID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest

from mailsluice.message.identity import digests, is_keyed

_TOKEN = re.compile(r"([0-9]{1,19})-([0-9a-f]{32})")
LONGEST = 19 + 1 + 32
"""Characters of a token; they are digits, small letters and a hyphen, as every provider takes."""


def token_of(recipient_id: int, message_id: str) -> str:
    """Return the token of the message with this Message-ID, for exports."""
    return f"{recipient_id}-{message_id.lstrip('<').partition('@')[0]}"


@dataclass(frozen=True, slots=True)
class RecipientToken:
    """The recipient and the MAC of a token, to be trusted only if `is_genuine`."""

    recipient_id: int
    mac: str

    @classmethod
    def parse(cls, text: str) -> RecipientToken | None:
        """Read a token; None if the text is none."""
        match = _TOKEN.fullmatch(text) if len(text) <= LONGEST else None
        return cls(int(match[1]), match[2]) if match else None

    def is_genuine(self, campaign: str, email: str, key: str | None) -> bool:
        """Whether the campaign with this name and key made the token for this address.

        Campaigns that were stored with a secret of the older form have no genuine token, since
        their Message-IDs are not keyed.
        """
        return is_keyed(key) and compare_digest(self.mac, digests(campaign, key)(email))
