"""Find traces of our own mail anywhere in a mail that came back. Pure.

The place of a trace does not matter, since no part of the mail is trusted: a token proves itself,
and a Message-ID is compared with that of a campaign's mail to a recipient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailsluice.message.return_path import Token, tokens

_MESSAGE_ID = re.compile(rb"<([0-9a-f]{32})@([A-Za-z0-9.-]{1,253})>")
_ADDRESS = re.compile(rb"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")
_MAX_EACH = 20
"""The most traces of a kind: a query looks up those of a hundred mails."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Parts of a mail that may identify the recipient of the returned mail."""

    tokens: tuple[Token, ...] = ()
    message_ids: tuple[str, ...] = ()
    """Message-IDs in the form of ours, in angle brackets."""
    addresses: tuple[str, ...] = ()
    """Addresses that may be the recipient's; only if there is a Message-ID."""

    @property
    def domains(self) -> frozenset[str]:
        """The domains of the Message-IDs."""
        return frozenset(name.rpartition("@")[2].rstrip(">") for name in self.message_ids)


def traces(content: bytes, named: tuple[str, ...] = ()) -> Traces:
    """Find the traces in a mail; `named` are the addresses that its report is about."""
    ids = [b"<%b@%b>" % groups for groups in _MESSAGE_ID.findall(content)]
    message_ids = tuple(octets.decode() for octets in dict.fromkeys(ids))[:_MAX_EACH]
    addresses = [*named, *_addresses(content)] if message_ids else []
    return Traces(
        tuple(tokens(content))[:_MAX_EACH],
        message_ids,
        tuple(dict.fromkeys(addresses))[:_MAX_EACH],
    )


def _addresses(content: bytes) -> list[str]:
    addresses = (octets.decode("ascii", "replace") for octets in _ADDRESS.findall(content))
    return [name for name in addresses if not _MESSAGE_ID.fullmatch(f"<{name}>".encode())]
