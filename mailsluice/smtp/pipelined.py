"""A session that needs one round trip a message (RFC 2920)."""

from __future__ import annotations

from mailsluice.envelope import Envelope
from mailsluice.outcome import Phase
from mailsluice.smtp.commands import DATA, DOT, RSET, mail, rcpt
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.link import SERVICE_CLOSING
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.transaction import OPENING, opening
from mailsluice.smtp.wire import WireSession


class PipelinedSession(WireSession):
    """Writes a body, its final dot and the next MAIL, RCPT and DATA in one go.

    The four replies [body, MAIL, RCPT, DATA] wake it once.
    """

    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        current: Envelope | None = envelope
        replies = await self._link.exchange(self._opening(envelope), len(OPENING))
        while current is not None:
            refusal = opening(replies, self._link.fault)
            if refusal is None:
                current, replies = await self._body(flight, current)
                continue
            flight.settle(current, refusal.attempt)
            if refusal.undo is None:
                raise self._end(refusal.attempt.phase)
            current, replies = await self._undo(flight, refusal.undo)

    async def _body(
        self, flight: InFlight, envelope: Envelope
    ) -> tuple[Envelope | None, list[Reply]]:
        """Send a body and open the next transaction; gives that one's envelope and replies."""
        rest = await self._stream(flight, envelope)
        ahead = flight.next_nowait()
        flight.dot(envelope)
        reply, replies = await self._with_ahead(rest + DOT, ahead, self._dot_timeout)
        end = self._settle_body(flight, envelope, reply)
        if end is not None:
            raise SessionError(end)
        return ahead, replies

    async def _undo(self, flight: InFlight, undo: bytes) -> tuple[Envelope | None, list[Reply]]:
        """End a refused transaction and open the next; gives that one's envelope and replies."""
        ahead = flight.next_nowait()
        reply, replies = await self._with_ahead(undo, ahead)
        if reply is None or not self._undone(undo, reply):
            raise self._end(Phase.MAIL)
        return ahead, replies

    @staticmethod
    def _undone(undo: bytes, reply: Reply) -> bool:
        """RSET is always granted; an empty message for nobody may well be refused."""
        return reply.code < 300 if undo == RSET else reply.code != SERVICE_CLOSING

    async def _with_ahead(
        self, head: bytes, ahead: Envelope | None, timeout_seconds: float | None = None
    ) -> tuple[Reply | None, list[Reply]]:
        if ahead is None:
            replies = await self._link.exchange(head, 1, timeout_seconds)
        else:
            data = head + self._opening(ahead)
            replies = await self._link.exchange(data, 1 + len(OPENING), timeout_seconds)
        return (replies[0], replies[1:]) if replies else (None, [])

    def _opening(self, envelope: Envelope) -> bytes:
        return mail(envelope, self._offer) + rcpt(envelope) + DATA
