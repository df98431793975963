"""Unsubscribe links of a message: one for a click, one for a mail, each for one recipient. Pure.

Both contain a token `<row>-<mac>`, with a MAC that is keyed with the campaign's secret. The row
leads to the recipient and the campaign. The MAC is not that of the Message-ID, which replies and
the archives of mailing lists quote: an unsubscribe link is in the mail alone.

Sources: RFC 2369 section 3.2 (List-Unsubscribe), RFC 8058 section 3.1 (one click, which takes
exactly one https address), RFC 6068 (mailto).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

from mailsluice.campaign.identity import SenderIdentity

PATH = "/unsubscribe/"
"""Precedes the token in the address for a click."""
ONE_CLICK = ("List-Unsubscribe", "One-Click")
"""The name and the value that a mail program posts (RFC 8058 section 3.2)."""
_MAC_OCTETS = 12
_TOKEN = re.compile(rf"([0-9]{{1,19}})-([0-9a-f]{{{2 * _MAC_OCTETS}}})")
_LONGEST = 19 + 1 + 2 * _MAC_OCTETS
_IN_ADDRESS = re.compile(rf"\+({_TOKEN.pattern})@", re.IGNORECASE)
_POST = f"List-Unsubscribe-Post: {'='.join(ONE_CLICK)}\r\n"
_NOBODYS = f"0-{'0' * 2 * _MAC_OCTETS}"
"""Stands for a token where no mail is sent."""
_PLACE = "\0"
"""Stands for the token while fields are made; no address has this character."""


@dataclass(frozen=True, slots=True)
class UnsubscribeToken:
    """The recipient and the MAC of a token, to be trusted only if `is_genuine`."""

    recipient_id: int
    mac: str

    @classmethod
    def parse(cls, text: str) -> UnsubscribeToken | None:
        """Read a token; None if the text is none."""
        match = _TOKEN.fullmatch(text) if len(text) <= _LONGEST else None
        return cls(int(match[1]), match[2]) if match else None

    @classmethod
    def in_address(cls, text: str) -> UnsubscribeToken | None:
        """Find the token of an address `unsubscribe+<token>@...` in a text, whatever its case."""
        match = _IN_ADDRESS.search(text)
        return cls.parse(match[1].lower()) if match else None

    def is_genuine(self, key: str | None) -> bool:
        """Whether the campaign with this key made the token."""
        own = unsubscribe_tokens(key)(self.recipient_id) if key else ""
        return compare_digest(f"{self.recipient_id}-{self.mac}", own)


def unsubscribe_tokens(key: str) -> Callable[[int], str]:
    """Return a recipient's token as a function of its id; `key` is the campaign's secret."""
    begun = blake2b(key=key.encode(), person=b"unsubscribe", digest_size=_MAC_OCTETS)

    def token_of(recipient_id: int) -> str:
        name = str(recipient_id)
        mac = begun.copy()
        mac.update(name.encode())
        return f"{name}-{mac.hexdigest()}"

    return token_of


Unsubscribing = tuple[str, "str | None"]
"""How a recipient unsubscribes: the header fields, and the address for `{{ unsubscribe_url }}`."""


def unsubscribing(
    identity: SenderIdentity, key: str | None
) -> Callable[[int, str | None], Unsubscribing]:
    """Return how to unsubscribe, as a function of a recipient's id and of the sender's own page.

    The header has Mailsluice's address for a click if the identity has one, else the sender's page,
    and the mailbox if there is one. `{{ unsubscribe_url }}` is the sender's page, or else
    Mailsluice's address.

    `key` is the campaign's secret. Without it there is no mail, or the mail of a campaign that is
    too old for tokens: then the header has the sender's page alone.
    """
    click = f"{identity.one_click_url.rstrip('/')}{PATH}" if identity.one_click_url else None
    local, _, domain = (identity.unsubscribe_mailbox or "").partition("@")
    mail = [f"mailto:{local}+{_PLACE}@{domain}?subject=unsubscribe"] if domain else []
    if key is None or not (click or mail):
        nobodys = f"{click}{_NOBODYS}" if click else None
        return lambda _, page: (_fields([page]) if page else "", page or nobodys)
    token_of = unsubscribe_tokens(key)
    if click is None:
        return lambda recipient_id, page: (
            token_of(recipient_id).join(_fields([page, *mail] if page else mail).split(_PLACE)),
            page,
        )
    around_token = _fields([f"{click}{_PLACE}", *mail]).split(_PLACE)

    def of(recipient_id: int, page: str | None) -> Unsubscribing:
        token = token_of(recipient_id)
        return token.join(around_token), page or f"{click}{token}"

    return of


def _fields(urls: list[str]) -> str:
    """Return the header fields with these addresses, of which the first may be for a click."""
    listed = ",\r\n ".join([f"<{url}>" for url in urls])
    return f"List-Unsubscribe: {listed}\r\n{_POST if urls[0][:6].lower() == 'https:' else ''}"
