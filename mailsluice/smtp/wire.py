"""What the kinds of session have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mailsluice.envelope import Envelope
from mailsluice.outcome import Attempt, Phase
from mailsluice.smtp.commands import Offer, stuffed
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.link import SERVICE_CLOSING, Link
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import Feed, SessionError
from mailsluice.smtp.transaction import lost

DOT_TIMEOUT_FACTOR = 2
"""RFC 5321 section 4.5.3.2 has 5 minutes for MAIL and RCPT and 10 for the final dot."""


class WireSession(ABC):
    """A logged-in session over a link. Implements `Session`.

    aiosmtplib opens the link, but does not carry the mail, not even one command at a time: it does
    not tell when the final dot goes out, and it discards replies that nobody had asked for.

    A reply may take `timeout_seconds`, the one to the final dot `DOT_TIMEOUT_FACTOR` times that.
    """

    def __init__(
        self, link: Link, offer: Offer, timeout_seconds: float, messages: int | None
    ) -> None:
        self._link = link
        self._offer = offer
        self._dot_timeout = DOT_TIMEOUT_FACTOR * timeout_seconds
        self._messages = messages

    async def send(self, feed: Feed) -> None:
        """Send what the feed gives; see `Session.send`."""
        flight = InFlight(feed, self._offer, self._messages)
        try:
            while (envelope := await flight.next()) is not None:
                await self._run(flight, envelope)
            await self._link.quit()
        except BaseException:
            self._link.abort()
            self._link.raise_if_cancelled()
            raise
        finally:
            flight.settle_rest("the session ended before the server answered")

    def abort(self) -> None:
        """Drop the link at once."""
        self._link.abort()

    @abstractmethod
    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        """Send this envelope, and what else may go without a pause."""

    async def _stream(self, flight: InFlight, envelope: Envelope) -> bytes:
        """Write all of a long content but its end, which is given: until then it may break."""
        content = envelope.content if envelope.is_dotless else stuffed(envelope.content)
        rest = await self._link.stream(content)
        if not self._link.is_open:
            attempt = lost(Phase.DATA, self._link.fault)
            flight.settle(envelope, attempt)
            raise SessionError(attempt)
        return rest

    def _settle_body(
        self, flight: InFlight, envelope: Envelope, reply: Reply | None
    ) -> Attempt | None:
        """Book the reply to the final dot; gives it back where it ends the session."""
        if reply is None:
            attempt = lost(Phase.BODY, self._link.fault)
        else:
            attempt = Attempt(Phase.BODY, reply.code, reply.text)
        flight.settle(envelope, attempt)
        over = reply is None or reply.code == SERVICE_CLOSING or 300 <= reply.code < 400
        return attempt if over else None

    def _end(self, phase: Phase) -> SessionError:
        """The session cannot go on after a reply in this phase."""
        if self._link.is_open:
            text = "the server's replies are out of step with the commands"
            return SessionError(Attempt(phase, None, text))
        return SessionError(lost(phase, self._link.fault))
