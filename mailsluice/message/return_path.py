"""Return paths: a separate address for each recipient, which nobody else can forge. Pure.

Variable envelope return paths have the form `bounces+<row>=<mac>@example.com`, with a MAC that is
keyed with the campaign's secret (`campaigns.return_key`). The row leads to its campaign, so the
token is short. The MAC proves the token wherever it occurs, so the whole mail is searched, and
broken reports are matched as well. The words of a report decide what happened, but never to which
recipient. The same secret keys the Message-ID, which proves the recipient without a return path.
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
"""48 bits are enough, since a forger has to send a mail for each guess."""
_IN_MAIL = re.compile(rb"\+(\d{1,19})=([0-9a-f]{%d})@" % (2 * _MAC_OCTETS), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """The recipient and the MAC of a return path, to be trusted only if `is_genuine`."""

    recipient_id: int
    mac: str

    def is_genuine(self, key: str) -> bool:
        """Whether the campaign with this key made the token."""
        return compare_digest(self.mac, _mac_of(key)(str(self.recipient_id)))


def return_paths(return_path: str, key: str) -> Callable[[int], str]:
    """Return the envelope sender as a function of the recipient's id.

    The address has at most 64 octets before the @ (RFC 5321 section 4.5.3.1.1), since `Message`
    refuses a return path without room for the token. `key` is the campaign's secret.
    """
    prefix = f"{parse_mailbox(return_path).username}+"
    suffix = f"@{ascii_domain(return_path)}"
    mac_of = _mac_of(key)

    def return_path_of(recipient_id: int) -> str:
        name = str(recipient_id)
        return f"{prefix}{name}={mac_of(name)}{suffix}"

    return return_path_of


def tokens(content: bytes) -> list[Token]:
    """Return the distinct tokens anywhere in a mail, in order, whatever their case."""
    matches = _IN_MAIL.findall(content)
    return list(dict.fromkeys(Token(int(name), mac.decode().lower()) for name, mac in matches))


def _mac_of(key: str) -> Callable[[str], str]:
    begun = blake2b(key=key.encode(), digest_size=_MAC_OCTETS)

    def mac_of(name: str) -> str:
        mac = begun.copy()
        mac.update(name.encode())
        return mac.hexdigest()

    return mac_of
