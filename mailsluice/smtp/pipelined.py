"""A session that needs one round trip for each message (RFC 2920)."""

from __future__ import annotations

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Phase
from mailsluice.smtp.commands import DATA, DOT, RSET, mail, rcpt
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.link import SERVICE_CLOSING
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import OutOfStepError
from mailsluice.smtp.transaction import OPENING, Refusal, check_opening, opening
from mailsluice.smtp.wire import WireSession


class PipelinedSession(WireSession):
    """Writes a body, its final dot and the next MAIL, RCPT and DATA together.

    The four replies [body, MAIL, RCPT, DATA] wake the session once. The body's reply counts if
    DATA's is 354, which proves that no reply before it is missing or surplus. A body without a next
    transaction is followed by RSET instead, which, unlike a body, cannot be refused.
    """

    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        current: Envelope | None = envelope
        replies = await self._exchange(self._opening(envelope), len(OPENING))
        while current is not None:
            refusal = opening(replies, self._link.fault)
            if refusal is None:
                if self._held:
                    self._confirm(flight)
                current, replies = await self._body(flight, current)
            else:
                current, replies = await self._refused(flight, current, refusal)

    async def _body(
        self, flight: InFlight, envelope: Envelope
    ) -> tuple[Envelope | None, list[Reply]]:
        """Send a body and open the next transaction; return the next envelope and its replies."""
        rest = await self._stream(flight, envelope)
        ahead = flight.next_nowait()
        flight.dot(envelope)
        head = rest + DOT
        if ahead is None:
            replies = await self._link.exchange(head + RSET, 2, self._dot_timeout)
        else:
            data = head + self._opening(ahead)
            replies = await self._link.exchange(data, 1 + len(OPENING), self._dot_timeout)
        if not self._link.is_open:
            self._check_surplus()
            self._check_loss(replies, ahead)
        self._take_body(flight, envelope, replies)
        if replies[0].code == SERVICE_CLOSING:
            raise self._end(Phase.BODY)
        if ahead is None:
            await self._finish(flight, replies)
        return ahead, replies[1:]

    def _check_loss(self, replies: list[Reply], ahead: Envelope | None) -> None:
        """Raise OutOfStepError if the body's reply may be the missing one.

        That is so if the replies that came can be those to the commands after the body.
        """
        if not self._link.fault.is_silence:
            return
        if ahead is None:
            is_bodys = len(replies) == 1 and replies[0].code < 300
        elif is_bodys := len(replies) == len(OPENING):
            try:
                check_opening(replies)
            except OutOfStepError:
                is_bodys = False
        if is_bodys:
            raise OutOfStepError(Phase.BODY, "a reply is missing")

    async def _finish(self, flight: InFlight, replies: list[Reply]) -> None:
        """Confirm the reply to a body, by the reply to the RSET after it.

        If a refusal were surplus, the true reply to the body would be in the place of RSET's.
        """
        if len(replies) == 1 or not self._check_reset(replies[1]):
            raise self._end(Phase.MAIL)
        if replies[0].code >= 400:
            await self._greet_again(flight)
        self._confirm(flight)

    async def _refused(
        self, flight: InFlight, envelope: Envelope, refusal: Refusal
    ) -> tuple[Envelope | None, list[Reply]]:
        """End a refused transaction and open the next; return the next envelope and its replies."""
        self._hold(envelope, refusal.attempt)
        if refusal.undo is None:
            raise self._end(refusal.attempt.phase)
        ahead = flight.next_nowait()
        if ahead is None:
            replies = await self._exchange(refusal.undo, 1)
        else:
            replies = await self._exchange(refusal.undo + self._opening(ahead), 1 + len(OPENING))
        if not replies or not self._undone(refusal.undo, replies[0]):
            raise self._end(Phase.MAIL)
        self._confirm(flight)
        return ahead, replies[1:]

    def _undone(self, undo: bytes, reply: Reply) -> bool:
        """Whether the transaction ended; an empty message may be refused, but RSET may not."""
        return self._check_reset(reply) if undo == RSET else reply.code != SERVICE_CLOSING

    def _opening(self, envelope: Envelope) -> bytes:
        return mail(envelope, self._offer) + rcpt(envelope) + DATA
