"""A session for servers without PIPELINING: every command waits for the reply to the one before."""

from __future__ import annotations

from mailsluice.envelope import Envelope
from mailsluice.outcome import Attempt
from mailsluice.smtp.commands import DATA, DOT, RSET, mail, rcpt
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.transaction import OPENING, is_positive, lost
from mailsluice.smtp.wire import WireSession


class SequentialSession(WireSession):
    """Four round trips a message (RFC 5321 section 3.3)."""

    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        refused = await self._open(envelope)
        if refused is not None:
            flight.settle(envelope, refused)
            await self._reset(refused)
            return
        rest = await self._stream(flight, envelope)
        flight.dot(envelope)
        replies = await self._link.exchange(rest + DOT, 1, self._dot_timeout)
        end = self._settle_body(flight, envelope, replies[0] if replies else None)
        if end is not None:
            raise SessionError(end)

    async def _open(self, envelope: Envelope) -> Attempt | None:
        """MAIL, RCPT, DATA; gives the refusal, if there is one."""
        commands = (mail(envelope, self._offer), rcpt(envelope), DATA)
        for phase, command in zip(OPENING, commands, strict=True):
            replies = await self._link.exchange(command, 1)
            if not replies:
                return lost(phase, self._link.fault)
            if not is_positive(phase, replies[0]):
                return Attempt(phase, replies[0].code, replies[0].text)
        return None

    async def _reset(self, refused: Attempt) -> None:
        """Get the server back to no transaction, or end the session where that is not safe."""
        if refused.code is not None and refused.code < 400:
            raise self._end(refused.phase)
        replies = await self._link.exchange(RSET, 1)
        if not replies or replies[0].code >= 300:
            raise self._end(refused.phase)
