"""A session for servers without PIPELINING: each command waits for the reply to the last one."""

from __future__ import annotations

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.commands import DATA, DOT, RSET, mail, rcpt
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.link import SERVICE_CLOSING
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.transaction import OPENING, check_opening, is_positive, lost, unanswered
from mailsluice.smtp.wire import WireSession


class SequentialSession(WireSession):
    """Sends with four round trips for each message (RFC 5321 section 3.3).

    An acceptance counts when the next DATA is answered with 354, or an RSET is granted. A refusal
    needs an EHLO, since a surplus reply before it would look the same until then.
    """

    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        refused = await self._open(envelope)
        if refused is not None:
            self._hold(envelope, refused)
            await self._reset(flight, refused)
            return
        self._confirm(flight)
        rest = await self._stream(flight, envelope)
        flight.dot(envelope)
        replies = await self._exchange(rest + DOT, 1, self._dot_timeout)
        if replies and replies[0].code == SERVICE_CLOSING:
            replies += await self._exchange(RSET, 1)
        self._take_body(flight, envelope, replies)
        if replies[0].code == SERVICE_CLOSING:
            raise self._end(Phase.BODY)
        if replies[0].code >= 400:
            await self._greet_again(flight)

    async def _open(self, envelope: Envelope) -> Attempt | None:
        """Send MAIL, RCPT and DATA; return the refusal, if there is one."""
        commands = (mail(envelope, self._offer), rcpt(envelope), DATA)
        so_far = []
        for phase, command in zip(OPENING, commands, strict=True):
            replies = await self._exchange(command, 1)
            if not replies:
                return lost(phase, self._link.fault)
            so_far += replies
            check_opening(so_far)
            if not is_positive(phase, replies[0]):
                return Attempt(phase, replies[0].code, replies[0].text)
        return None

    async def _reset(self, flight: InFlight, refused: Attempt) -> None:
        """End the transaction on the server, or end the session if that is not safe."""
        if not self._link.is_open or refused.code == SERVICE_CLOSING:
            raise self._end(refused.phase)
        replies = await self._exchange(RSET, 1)
        if not replies:
            self._reconsider(refused)
        if not replies or not self._check_reset(replies[0]):
            raise self._end(refused.phase)
        await self._greet_again(flight)

    def _reconsider(self, refused: Attempt) -> None:
        """Replace a 4xx to MAIL: a server that closes after it ended the session before MAIL."""
        if refused.phase is Phase.MAIL and refused.code is not None and refused.code < 500:
            envelope, _ = self._held.pop()
            reply = Reply(refused.code, refused.text.encode())
            self._hold(envelope, unanswered([reply], self._link.fault))
