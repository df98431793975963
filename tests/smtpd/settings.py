"""What a test server offers and demands."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.smtpd.faults import Everybody, Fault

ALL_KEYWORDS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10485760", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True)
class Settings:
    """One test server."""

    keywords: tuple[str, ...] = ALL_KEYWORDS
    """Lines of the EHLO reply; CHUNKING makes it take BDAT."""
    users: Mapping[str, str] = field(default_factory=dict)
    """{user: password}; with any, AUTH is offered and demanded before MAIL."""
    auth_methods: tuple[str, ...] = ("PLAIN", "LOGIN", "CRAM-MD5")
    token_holds: Callable[[str, str], bool] | None = None
    """Whether a user may log in with an access token; with it, AUTH is demanded as well."""
    closes_after_refusal: bool = False
    """A session has one login."""
    tls: ssl.SSLContext | None = None
    tls_from_start: bool = False
    """TLS from the first byte; otherwise STARTTLS is offered where there is a context."""
    faults: Mapping[str, Fault] = field(default_factory=dict)
    messages_per_session: int | None = None
    """After that many a session is closed: with 421 at the next MAIL, or silently."""
    closes_silently: bool = False
    stays_open: bytes = b""
    """... or with this reply to each MAIL from then on, and the session is kept open."""
    everybody: Everybody | None = None
    most_sessions: int | None = None
    """More at once are answered 421 instead of the greeting, and closed."""
    idle_seconds: float | None = None
    """A session without a command for that long is ended ..."""
    idle_reply: bytes = b""
    """... with this reply, or without a word."""
    data_without_recipients: bool = False
    """Answer 354 to DATA although no recipient was accepted (RFC 2920 section 3.1)."""
    goes_on_after_body_fault: bool = False
    """A reply in the middle of a body does not close the link; the rest of the body is not read."""
    piece: int | None = None
    """Cut replies into pieces of that many bytes."""
    delay_seconds: float = 0.0
    """Each reply comes that much later: a round trip's time."""

    @property
    def demands_login(self) -> bool:
        return bool(self.users) or self.token_holds is not None
