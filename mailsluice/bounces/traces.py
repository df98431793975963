"""Traces of our own mail in a mail that came back: found wherever they stand. Pure.

No part of the mail is trusted for its place: a token proves itself, and a Message-ID is compared
with that of a campaign's mail to a recipient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailsluice.message.return_path import Token, tokens

_MESSAGE_ID = re.compile(rb"<([0-9a-f]{32})@([A-Za-z0-9.-]{1,253})>")
_ADDRESS = re.compile(rb"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9]")
_MAX_EACH = 20
"""A query takes those of a hundred mails."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What may tell whose mail it was."""

    tokens: tuple[Token, ...] = ()
    message_ids: tuple[str, ...] = ()
    """In angle brackets, of the form that ours have."""
    addresses: tuple[str, ...] = ()
    """Of recipients, perhaps; where there is a Message-ID."""

    @property
    def domains(self) -> frozenset[str]:
        """Those of the Message-IDs."""
        return frozenset(one.rpartition("@")[2].rstrip(">") for one in self.message_ids)


def traces(content: bytes, named: tuple[str, ...] = ()) -> Traces:
    """Find them; `named` are the addresses that the mail is known to be about."""
    ids = [b"<%b@%b>" % one for one in _MESSAGE_ID.findall(content)]
    message_ids = tuple(one.decode() for one in dict.fromkeys(ids))[:_MAX_EACH]
    addresses = [*named, *_addresses(content)] if message_ids else []
    return Traces(
        tuple(tokens(content))[:_MAX_EACH],
        message_ids,
        tuple(dict.fromkeys(addresses))[:_MAX_EACH],
    )


def _addresses(content: bytes) -> list[str]:
    found = (one.decode("ascii", "replace") for one in _ADDRESS.findall(content))
    return [one for one in found if not _MESSAGE_ID.fullmatch(f"<{one}>".encode())]
