"""Return paths: an address of its own for each recipient, which nobody else can make up. Pure.

Variable envelope return paths have the form `bounces+<row>=<mac>@example.com`, with a MAC that is
keyed with the campaign's secret (`campaigns.return_key`). The row alone leads to its campaign, so
the token is short. The token proves itself wherever it stands, so it is looked for in the whole
mail, and broken reports are matched as well. The words of a report decide what happened, never to
which recipient. The same secret keys the Message-ID, which proves the recipient where there is no
return path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

from mailsluice.core.named_address import parse_mailbox
from mailsluice.message.identity import ascii_domain

_MAC_OCTETS = 6
"""48 bits: each guess costs a forger a mail."""
_IN_MAIL = re.compile(rb"\+(\d{1,19})=([0-9a-f]{%d})@" % (2 * _MAC_OCTETS), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """What a return path says; believed only where it `is_genuine`."""

    recipient_id: int
    mac: str

    def is_genuine(self, key: str) -> bool:
        """Whether the campaign with this key has made it."""
        return compare_digest(self.mac, _mac_of(key)(str(self.recipient_id)))


def return_paths(return_path: str, key: str) -> Callable[[int], str]:
    """The envelope sender of each recipient, by its id; `key` is the campaign's secret.

    Lower case, at most 64 octets before the @ (RFC 5321 section 4.5.3.1.1; `Message` refuses what
    has no room for the token).
    """
    prefix = f"{parse_mailbox(return_path).username}+"
    suffix = f"@{ascii_domain(return_path)}"
    mac_of = _mac_of(key)

    def return_path_of(recipient_id: int) -> str:
        name = str(recipient_id)
        return f"{prefix}{name}={mac_of(name)}{suffix}"

    return return_path_of


def tokens(content: bytes) -> list[Token]:
    """All tokens in a mail, wherever they stand, each once, in order.

    Servers that change the case of an address have not broken it.
    """
    found = (Token(int(name), mac.decode().lower()) for name, mac in _IN_MAIL.findall(content))
    return list(dict.fromkeys(found))


def _mac_of(key: str) -> Callable[[str], str]:
    begun = blake2b(key=key.encode(), digest_size=_MAC_OCTETS)

    def mac_of(name: str) -> str:
        mac = begun.copy()
        mac.update(name.encode())
        return mac.hexdigest()

    return mac_of
