"""The common part of sequential, pipelined and chunked sessions.

Only the order of replies tells which command each of them answers, so a surplus reply would make
every later one wrong. Some replies are anchors: 354 answers only DATA, RSET cannot be refused while
a body can, and only the reply to EHLO names the server. So an outcome is held until the next anchor
confirms it. With PIPELINING, the anchor is in the same batch and costs no round trip: the 354 of
the next message, or the reply to an RSET after the last one. An EHLO is sent only after a refusal
that nothing else can confirm. `tests/unit/test_replies_out_of_step.py` changes each reply of a
dialogue in turn, for each kind of session, and lists the changes that cannot be noticed.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.commands import RSET, Offer, stuffed
from mailsluice.smtp.dkim.signing import Signer
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.link import SERVICE_CLOSING, Link
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import Feed, IdleEndError, OutOfStepError, SessionError
from mailsluice.smtp.transaction import lost

DOT_TIMEOUT_FACTOR = 2
"""RFC 5321 section 4.5.3.2 allows 5 minutes for MAIL and RCPT, and 10 for the final dot."""
_NO_RSET = frozenset((500, 502))


class WireSession(ABC):
    """A logged-in session over a link. Implements `Session`.

    aiosmtplib opens the link, but does not send the mail, not even for a sequential session: it
    does not tell when the final dot leaves, and it discards replies to no command.

    A reply may take `timeout_seconds`, and the reply to the final dot `DOT_TIMEOUT_FACTOR` times
    as long.

    A reply is held until the session is certain which command it answers. If the replies turn out
    to be out of step, no held reply counts.
    """

    def __init__(
        self,
        link: Link,
        offer: Offer,
        timeout_seconds: float,
        messages: int | None,
        signer: Signer | None = None,
    ) -> None:
        self._link = link
        self._offer = offer
        self._dot_timeout = DOT_TIMEOUT_FACTOR * timeout_seconds
        self._messages = messages
        self._signer = signer
        self._held: list[tuple[Envelope, Attempt]] = []

    async def send(self, feed: Feed) -> None:
        """Send the feed's mail; see `Session.send`."""
        flight = InFlight(feed, self._offer, self._messages, self._signer)
        rest = "the session ended before the server answered"
        try:
            while (envelope := await self._next(flight)) is not None:
                await self._run(flight, envelope)
            await self._link.quit()
        except BaseException as error:
            if isinstance(error, OutOfStepError):
                self._held.clear()
                rest = error.attempt.text
            self._link.abort()
            self._link.raise_if_cancelled()
            raise
        finally:
            self._confirm(flight)
            flight.settle_rest(rest)

    def abort(self) -> None:
        """Drop the link at once."""
        self._link.abort()

    @abstractmethod
    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        """Send this envelope, and all others that may follow without a pause."""

    async def _next(self, flight: InFlight) -> Envelope | None:
        """Return the next envelope, as soon as it may be sent; None when the session should end."""
        if envelope := flight.next_nowait():
            return envelope
        await self._ascertain(flight)
        coming = asyncio.ensure_future(flight.next())
        await self._watch(coming)
        return coming.result()

    async def _watch(self, coming: asyncio.Future[Envelope | None]) -> None:
        """Wait for mail, and watch the link in the meantime.

        Raises IdleEndError if the server ends the session first, without a message in flight.
        """
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            either: set[asyncio.Future[Any]] = {coming, self._link.over}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not coming.done():
                coming.cancel()
                await asyncio.wait({coming})
        if coming.cancelled():
            self._check_surplus()
            raise IdleEndError(lost(Phase.MAIL, self._link.fault), loop.time() - since)

    async def _ascertain(self, flight: InFlight) -> None:
        """Confirm the held outcomes, which are acceptances, before the session waits for mail."""
        if self._held:
            replies = await self._exchange(RSET, 1)
            if not replies or not self._check_reset(replies[0]):
                raise self._end(Phase.MAIL)
            self._confirm(flight)

    async def _exchange(
        self, data: bytes, expected: int, timeout_seconds: float | None = None
    ) -> list[Reply]:
        """Exchange as `Link.exchange` does. Raises OutOfStepError for a surplus reply."""
        replies = await self._link.exchange(data, expected, timeout_seconds)
        self._check_surplus()
        return replies

    def _check_surplus(self) -> None:
        if self._link.fault.is_out_of_step:
            raise OutOfStepError(Phase.MAIL, self._link.fault.text)

    def _hold(self, envelope: Envelope, attempt: Attempt) -> None:
        """Hold an outcome that counts only if the replies are in step."""
        self._held.append((envelope, attempt))

    def _confirm(self, flight: InFlight) -> None:
        """Settle the held outcomes, since the replies so far are in step."""
        while self._held:
            flight.settle(*self._held.pop(0))

    async def _greet_again(self, flight: InFlight) -> None:
        """Send EHLO, whose reply is unlike any other, and confirm the held outcomes by it."""
        replies = await self._exchange(self._offer.hello.command, 1)
        if not replies:
            raise self._end(Phase.MAIL)
        if not self._offer.hello.is_answered_by(replies[0]):
            raise OutOfStepError(Phase.MAIL, f"{replies[0].code} cannot answer EHLO")
        self._confirm(flight)

    async def _stream(self, flight: InFlight, envelope: Envelope) -> bytes:
        """Write a long content, except its last part, which is returned.

        Until the last part is written, a link that breaks has not delivered the message.
        """
        content = envelope.content if envelope.signed is None else await envelope.signed
        rest = await self._link.stream(content if envelope.is_dotless else stuffed(content))
        if not self._link.is_open:
            await self._cut_off(flight, envelope)
        return rest

    async def _cut_off(self, flight: InFlight, envelope: Envelope) -> None:
        """Settle a message after the link ended in the middle of its body: it was not delivered.

        A server may refuse a body before it has read all of it, and then closes the link.
        """
        fault = self._link.fault
        is_refusal = fault.reply is not None and fault.reply.code != SERVICE_CLOSING
        if is_refusal and not await self._link.is_closed_by_server():
            raise OutOfStepError(Phase.DATA, fault.text)
        attempt = lost(Phase.DATA, fault)
        flight.settle(envelope, attempt)
        raise SessionError(attempt)

    def _take_body(self, flight: InFlight, envelope: Envelope, replies: list[Reply]) -> None:
        """Hold the reply to the final dot, which is the first. Raises if the session has ended."""
        if not replies:
            attempt = lost(Phase.BODY, self._link.fault)
            flight.settle(envelope, attempt)
            raise SessionError(attempt)
        reply = replies[0]
        if 300 <= reply.code < 400:
            raise OutOfStepError(Phase.BODY, f"{reply.code} cannot answer a message")
        if reply.code == SERVICE_CLOSING and not self._is_last_word(replies[1:]):
            raise OutOfStepError(Phase.BODY, f"the server went on after {reply.code}")
        self._hold(envelope, Attempt(Phase.BODY, reply.code, reply.text))

    def _is_last_word(self, later: list[Reply]) -> bool:
        """Whether a 421, followed by these replies, ended the session (RFC 5321 section 3.8)."""
        if later:
            return all(reply.code >= 400 for reply in later)
        return not (self._link.is_open or self._link.fault.is_silence)

    def _check_reset(self, reply: Reply) -> bool:
        """Whether RSET was granted. Raises OutOfStepError if the reply cannot answer RSET."""
        if reply.code < 300:
            return True
        if reply.code == SERVICE_CLOSING or reply.code in _NO_RSET:
            return False
        raise OutOfStepError(Phase.MAIL, f"{reply.code} cannot answer {RSET.decode().strip()}")

    def _end(self, phase: Phase) -> SessionError:
        """Return the error of a session that cannot continue after a reply in this phase."""
        if (closing := self._link.closing) is not None:
            return SessionError(Attempt(phase, closing.code, closing.text))
        if self._link.is_open:
            return SessionError(Attempt(phase, None, "the server did not accept RSET"))
        return SessionError(lost(phase, self._link.fault))
