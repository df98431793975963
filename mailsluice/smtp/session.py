"""The narrow interface between the send loop and the wire.

A session takes its mail from a feed, and reports the outcome of each message to the feed. So a
session that needs one round trip for each message and a session that needs four have the same
interface.
"""

from __future__ import annotations

from typing import Protocol

from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MailsluiceError
from mailsluice.core.masking import masked
from mailsluice.core.outcome import Attempt, Phase, enhanced_status
from mailsluice.smtp.replies import bounded

_LEAST_IDLE_SECONDS = 0.3


def reply_text(attempt: Attempt) -> str:
    """Return the reply or the failure for people to read, without addresses."""
    return f"{attempt.code or ''} {masked(attempt.text)}".strip()


class SessionError(MailsluiceError):
    """The session cannot be opened, or ended too early.

    Every envelope that the session took from the feed is settled before this is raised. The message
    may be logged: addresses in a server's reply are masked, and its length is bounded.
    """

    def __init__(self, attempt: Attempt) -> None:
        attempt = attempt._replace(text=bounded(attempt.text))
        self.attempt = attempt
        super().__init__(f"{attempt.phase.value}: {reply_text(attempt)}")

    @property
    def phase(self) -> Phase:
        return self.attempt.phase


class OutOfStepError(SessionError):
    """The server's replies cannot be the answers to the commands that were sent.

    No reply since the last confirmed point of the session counts. An envelope whose body has left
    is uncertain, and any other is untouched.
    """

    def __init__(self, phase: Phase, reason: str) -> None:
        text = f"the server's replies are out of step with the commands: {reason}"
        super().__init__(Attempt(phase, None, text))


class IdleEndError(SessionError):
    """The server ended a session that was waiting for mail, without a message in flight."""

    def __init__(self, attempt: Attempt, idle_seconds: float) -> None:
        super().__init__(attempt)
        self.idle_seconds = idle_seconds
        """The time for which the session had been waiting."""

    @property
    def is_for_idleness(self) -> bool:
        """Whether the server ended the session because it was idle.

        A server that shuts down (421 4.3.2, RFC 3463 section 3.4), or that ends a session which has
        hardly begun to wait, has another reason.
        """
        is_shutting_down = enhanced_status(self.attempt).startswith("3.")
        return self.idle_seconds >= _LEAST_IDLE_SECONDS and not is_shutting_down


class Feed(Protocol):
    """The source of a session's mail, which also takes the outcomes.

    Each session has its own feed, and all calls are on the same event loop.
    """

    async def next(self) -> Envelope | None:
        """Return the next envelope, as soon as it may be sent; None when the session should end."""

    def next_nowait(self) -> Envelope | None:
        """Return an envelope that may be sent at once, if there is one, for sending ahead."""

    def dot(self, envelope: Envelope) -> None:
        """Note that the final dot of this envelope is about to reach the transport."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        """Take the outcome of an envelope, once for each envelope that was taken."""


class Session(Protocol):
    """A logged-in SMTP session."""

    async def send(self, feed: Feed) -> None:
        """Send mail until the feed returns None or `messages_per_session` is reached, then QUIT.

        Every envelope that was taken from the feed is settled, whatever happens.

        Raises:
            SessionError: The link broke, or the server ended the session.
        """

    def abort(self) -> None:
        """Drop the link at once."""
