"""The envelope: a message that the send loop hands to a session."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import NamedTuple


class Envelope(NamedTuple):
    """A rendered message with its SMTP envelope (RFC 5321 section 2.3.1).

    A NamedTuple, since every message makes an envelope: a frozen dataclass takes twice as long.
    """

    recipient_id: int
    """The id of the recipient's row in the outbox."""
    sender: str
    """MAIL FROM, without angle brackets."""
    recipient: str
    """RCPT TO, without angle brackets; the domain in ASCII."""
    content: bytes
    """RFC 5322 text: every line, the last included, ends with CRLF; 7-bit (8-bit only in headers
    with `smtputf8`); not dot-stuffed."""
    smtputf8: bool = False
    """Whether the message needs SMTPUTF8 (RFC 6531): an address has a non-ASCII local part."""
    is_dotless: bool = False
    """Whether no line is known to begin with a dot, so that dot-stuffing can be skipped."""
    signed: Awaitable[bytes] | None = None
    """The content with its DKIM signatures, which are made meanwhile; `content` has room for them.
    None: the content goes out as it is."""
