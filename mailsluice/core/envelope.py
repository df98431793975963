"""One message on its way: what the send loop hands to a session."""

from __future__ import annotations

from typing import NamedTuple


class Envelope(NamedTuple):
    """A rendered message with its SMTP envelope (RFC 5321 section 2.3.1).

    A NamedTuple, since one is made a message: a frozen dataclass takes twice as long.
    """

    recipient_id: int
    """The outbox row it belongs to."""
    sender: str
    """MAIL FROM, without angle brackets."""
    recipient: str
    """RCPT TO, without angle brackets; the domain in ASCII."""
    content: bytes
    """RFC 5322 text: CRLF line ends, 7-bit (8-bit only in headers with `smtputf8`), the last line
    ended, not dot-stuffed."""
    smtputf8: bool = False
    """Whether it needs SMTPUTF8 (RFC 6531): an address has a non-ASCII local part."""
    is_dotless: bool = False
    """Whether it is known that no line begins with a dot: then there is nothing to stuff."""
