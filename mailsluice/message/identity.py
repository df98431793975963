"""What a message is called: the same campaign and recipient, the same Message-ID."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import blake2b

import idna

from mailsluice.core.named_address import parse_mailbox

_OCTETS = 16
_KEYED = "2-"
"""Begins the secret of a campaign whose Message-IDs are made with it."""


def ascii_domain(mailbox: str) -> str:
    """The domain of `Name <user@example.com>` in ASCII (RFC 5891).

    Raises ValueError where there is none, idna.IDNAError (a ValueError) where it cannot be encoded.
    """
    return idna.encode(parse_mailbox(mailbox).domain, uts46=True).decode()


def new_key() -> str:
    """A campaign's secret: makes its Message-IDs and its return paths."""
    return f"{_KEYED}{secrets.token_hex(16)}"


def message_id(campaign: str, email: str, domain: str, key: str | None = None) -> str:
    """The Message-ID of a campaign's mail to one address, angle brackets included.

    A function of its arguments alone, so a retry after a crash carries the same one and the
    receiving side can tell a copy. `domain` is the sender's, in ASCII (RFC 5322 section 3.6.4);
    the address itself cannot be read from the result.

    `key` is the campaign's secret: with one of `new_key`, nobody else can compute the result, so
    a report that names it comes from somebody who has seen this very mail. Campaigns that were
    stored with a secret of the older form, or none, keep the Message-IDs they began with.
    """
    return message_ids(campaign, domain, key)(email)


def message_ids(campaign: str, domain: str, key: str | None = None) -> Callable[[str], str]:
    """`message_id` for any address of a campaign, whose name is hashed once."""
    begun = _hash(key)
    begun.update(f"{campaign}\0".encode("utf-8", "replace"))

    def message_id_of(email: str) -> str:
        name = begun.copy()
        name.update(email.encode("utf-8", "replace"))
        return f"<{name.hexdigest()}@{domain}>"

    return message_id_of


def _hash(key: str | None) -> blake2b:
    if key is None or not key.startswith(_KEYED):
        return blake2b(digest_size=_OCTETS)
    return blake2b(key=key.encode(), person=b"message-id", digest_size=_OCTETS)
