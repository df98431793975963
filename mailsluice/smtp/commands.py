"""SMTP commands for an envelope, and the extensions that a server offers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mailsluice.core.envelope import Envelope
from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.replies import Reply

DATA = b"DATA\r\n"
DOT = b".\r\n"
QUIT = b"QUIT\r\n"
RSET = b"RSET\r\n"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LINE_DOT = re.compile(rb"\n\.")  # a pattern, since bytes.find takes three times as long
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 section 5; int() refuses more than 4,300 digits

_NO_SECOND_HELLO = frozenset((500, 502, 503))


@dataclass(frozen=True, slots=True)
class Hello:
    """The EHLO that opened the session. A second EHLO acts like RSET.

    The reply to EHLO names the server, and no other reply does (RFC 5321 section 4.1.1.1). So a
    second EHLO shows whether replies and commands are in step.
    """

    command: bytes = b"EHLO localhost\r\n"
    server: str = ""
    """The first word of the reply; empty if unknown."""

    def is_answered_by(self, reply: Reply) -> bool:
        """Whether a reply can be the answer to this command."""
        if reply.code == 250:
            return reply.text.split(None, 1)[:1] == [self.server] or not self.server
        return reply.code in _NO_SECOND_HELLO


@dataclass(frozen=True, slots=True)
class Offer:
    """The extensions in a server's reply to EHLO that matter here."""

    pipelining: bool = False
    """RFC 2920."""
    chunking: bool = False
    """BDAT, RFC 3030."""
    smtputf8: bool = False
    """RFC 6531."""
    eight_bit: bool = False
    """8BITMIME, RFC 6152."""
    size: bool = False
    """RFC 1870."""
    size_limit: int | None = None
    """The largest message in bytes; None: unknown."""
    hello: Hello = Hello()

    @classmethod
    def from_extensions(cls, extensions: Mapping[str, str], hello: Hello | None = None) -> Self:
        """Make an offer from a mapping of keywords, in lower case, to parameters."""
        size = _SIZE.fullmatch(extensions.get("size", "").strip())
        return cls(
            pipelining="pipelining" in extensions,
            chunking="chunking" in extensions,
            smtputf8="smtputf8" in extensions,
            eight_bit="8bitmime" in extensions,
            size="size" in extensions,
            size_limit=int(size[0]) or None if size else None,
            hello=hello or Hello(),
        )


def refusal(envelope: Envelope, offer: Offer) -> Attempt | None:
    """Return a failed attempt if this server cannot take the envelope, without asking it."""
    addresses = envelope.sender + envelope.recipient
    reason = cause = None
    if not addresses.isprintable() and _CONTROL.search(addresses):
        reason = "an address holds a control character"
    elif envelope.smtputf8 and not offer.smtputf8:
        reason = "the address needs SMTPUTF8 (RFC 6531), which the server does not offer"
        cause = LocalCause.SMTPUTF8_NOT_OFFERED
    elif not envelope.smtputf8 and not addresses.isascii():
        reason = "an address is not ASCII, and the message was not made for SMTPUTF8"
        cause = LocalCause.SMTPUTF8_NOT_OFFERED
    elif offer.size_limit is not None and len(envelope.content) > offer.size_limit:
        reason = (
            f"the message has {len(envelope.content)} bytes, the server takes {offer.size_limit}"
        )
        cause = LocalCause.MESSAGE_TOO_LARGE
    return None if reason is None else Attempt(Phase.MAIL, None, reason, True, cause)


def mail(envelope: Envelope, offer: Offer) -> bytes:
    """Return the MAIL command; SIZE is that of the content before stuffing (RFC 1870 section 5)."""
    size = f" SIZE={len(envelope.content)}" if offer.size else ""
    utf8 = " SMTPUTF8" if envelope.smtputf8 else ""
    body = " BODY=8BITMIME" if envelope.smtputf8 and offer.eight_bit else ""
    return f"MAIL FROM:<{envelope.sender}>{size}{body}{utf8}\r\n".encode()


def rcpt(envelope: Envelope) -> bytes:
    """Return the RCPT command."""
    return f"RCPT TO:<{envelope.recipient}>\r\n".encode()


def chunk(content: bytes) -> bytes:
    """Return BDAT with the whole content, unchanged (RFC 3030 section 2)."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    return b"BDAT %d LAST\r\n%b%b" % (len(content) + len(end), content, end)


def stuffed(content: bytes) -> bytes:
    """Return the content for DATA, without the final dot (RFC 5321 section 4.5.2).

    A dot after a bare LF is doubled as well: some servers take LF "." LF for the end of the
    message, and the rest of it for commands.
    """
    if content.startswith(b"."):
        content = b"." + content
    if _LINE_DOT.search(content):
        content = content.replace(b"\n.", b"\n..")
    return content if content.endswith(b"\r\n") else content + b"\r\n"
