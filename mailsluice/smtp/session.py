"""The narrow interface between the send loop and the wire.

A session pulls its mail from a feed and tells the feed what became of each. So a wire that needs
one round trip a message (pipelining) and one that needs four look the same from outside.
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
    """The reply or what broke, for people to read: without the addresses in it."""
    return f"{attempt.code or ''} {masked(attempt.text)}".strip()


class SessionError(MailsluiceError):
    """The session cannot be opened, or is over before its time.

    Every envelope it had taken from the feed has been settled before this is raised. Its message
    may go into logs: addresses that a server put into its reply are taken out of it, and it is cut
    to what is kept of a reply, whoever has read it.
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

    No reply since the last certain point of the session counts: an envelope whose body is out is
    uncertain, any other one is untouched.
    """

    def __init__(self, phase: Phase, reason: str) -> None:
        text = f"the server's replies are out of step with the commands: {reason}"
        super().__init__(Attempt(phase, None, text))


class IdleEndError(SessionError):
    """The server ended a session that was waiting for mail: nobody's message was on its way."""

    def __init__(self, attempt: Attempt, idle_seconds: float) -> None:
        super().__init__(attempt)
        self.idle_seconds = idle_seconds
        """How long the session had been waiting."""

    @property
    def is_for_idleness(self) -> bool:
        """Whether the server ended it for having waited, rather than for another reason.

        Other reasons are that it shuts down (421 4.3.2, RFC 3463 section 3.4), and whatever makes
        it end a session that has hardly begun to wait.
        """
        is_shutting_down = enhanced_status(self.attempt).startswith("3.")
        return self.idle_seconds >= _LEAST_IDLE_SECONDS and not is_shutting_down


class Feed(Protocol):
    """What a session sends from and reports to. One feed a session; all calls on the same loop."""

    async def next(self) -> Envelope | None:
        """The next envelope, as soon as it may go; None when the session should end."""

    def next_nowait(self) -> Envelope | None:
        """An envelope that may go this instant, if there is one: for a wire that looks ahead."""

    def dot(self, envelope: Envelope) -> None:
        """Called right before the final dot of this envelope can reach the transport."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        """Called once for each envelope taken, with how it ended."""


class Session(Protocol):
    """A logged-in SMTP session."""

    async def send(self, feed: Feed) -> None:
        """Send what the feed gives until it gives None, or `messages_per_session` is reached.

        Then QUIT. Raises SessionError where the link breaks or the server ends the session; what
        was taken from the feed is settled either way.
        """

    def abort(self) -> None:
        """Drop the link at once."""
