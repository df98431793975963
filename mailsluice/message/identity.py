"""What a message is called: the same campaign and recipient, the same Message-ID."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import idna

from mailsluice.campaign import parse_mailbox


def ascii_domain(mailbox: str) -> str:
    """The domain of `Name <user@example.com>` in ASCII (RFC 5891).

    Raises ValueError where there is none, idna.IDNAError (a ValueError) where it cannot be encoded.
    """
    return idna.encode(parse_mailbox(mailbox).domain, uts46=True).decode()


def message_id(campaign: str, email: str, domain: str) -> str:
    """The Message-ID of a campaign's mail to one address, angle brackets included.

    A function of its arguments alone, so a retry after a crash carries the same one and the
    receiving side can tell a copy. `domain` is the sender's, in ASCII (RFC 5322 section 3.6.4);
    the address itself cannot be read from the result.
    """
    return message_ids(campaign, domain)(email)


def message_ids(campaign: str, domain: str) -> Callable[[str], str]:
    """`message_id` for any address of a campaign, whose name is hashed once."""
    begun = blake2b(f"{campaign}\0".encode("utf-8", "replace"), digest_size=16)

    def message_id_of(email: str) -> str:
        name = begun.copy()
        name.update(email.encode("utf-8", "replace"))
        return f"<{name.hexdigest()}@{domain}>"

    return message_id_of
