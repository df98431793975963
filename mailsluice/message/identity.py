"""Message-IDs: the same campaign and recipient have the same Message-ID."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import blake2b

import idna

from mailsluice.core.named_address import parse_mailbox

_OCTETS = 16
_KEYED = "2-"
"""The prefix of secrets that key the Message-IDs of their campaign."""


def ascii_domain(mailbox: str) -> str:
    """Return the domain of `Name <user@example.com>` in ASCII (RFC 5891).

    Raises ValueError if the mailbox has no valid domain.
    """
    return idna.encode(parse_mailbox(mailbox).domain, uts46=True).decode()


def new_key() -> str:
    """Make a campaign's secret, which keys its Message-IDs and return paths."""
    return f"{_KEYED}{secrets.token_hex(16)}"


def message_id(campaign: str, email: str, domain: str, key: str | None = None) -> str:
    """Return the Message-ID of a campaign's mail to an address, including angle brackets.

    The result depends on the arguments alone. So a retry after a crash has the same Message-ID, and
    the receiving side can recognise a copy. The address cannot be read from the Message-ID.

    Args:
        campaign: The campaign's name.
        email: The recipient's address.
        domain: The sender's domain, in ASCII (RFC 5322 section 3.6.4).
        key: The campaign's secret. With a secret of `new_key`, nobody else can compute the
            Message-ID, so a report that contains it comes from somebody who has seen the mail.
            Campaigns that were stored with a secret of the older form, or without one, keep the
            Message-IDs that they began with.
    """
    return message_ids(campaign, domain, key)(email)


def message_ids(campaign: str, domain: str, key: str | None = None) -> Callable[[str], str]:
    """Return `message_id` as a function of the address; the campaign's name is hashed once."""
    digest = digests(campaign, key)
    return lambda email: f"<{digest(email)}@{domain}>"


def digests(campaign: str, key: str | None) -> Callable[[str], str]:
    """Return what precedes the @ of a Message-ID as a function of the address."""
    begun = _hash(key)
    begun.update(f"{campaign}\0".encode("utf-8", "replace"))

    def digest_of(email: str) -> str:
        name = begun.copy()
        name.update(email.encode("utf-8", "replace"))
        return name.hexdigest()

    return digest_of


def is_keyed(key: str | None) -> bool:
    """Whether nobody without this secret of a campaign can compute its Message-IDs."""
    return key is not None and key.startswith(_KEYED)


def _hash(key: str | None) -> blake2b:
    if key is None or not is_keyed(key):
        return blake2b(digest_size=_OCTETS)
    return blake2b(key=key.encode(), person=b"message-id", digest_size=_OCTETS)
