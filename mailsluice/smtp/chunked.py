"""A session with several messages in flight at a time (RFC 3030 with RFC 2920)."""

from __future__ import annotations

import asyncio
from collections import deque

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.ahead import Ahead
from mailsluice.smtp.chunk_transaction import BODY, PHASES, Wording, conclusion, transaction
from mailsluice.smtp.commands import RSET, Offer
from mailsluice.smtp.dkim.signing import Signer
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.session import OutOfStepError, SessionError
from mailsluice.smtp.window import Window
from mailsluice.smtp.windowed_link import PART_BYTES, WindowedLink
from mailsluice.smtp.wire import DOT_TIMEOUT_FACTOR, WireSession

_MOST_BYTES = 4 * 1024 * 1024
"""Bytes in flight in a session: messages are kept in memory until they are answered."""


class _UnderWay:
    """A message in flight."""

    __slots__ = ("end", "envelope", "written_at")

    def __init__(self, envelope: Envelope, written_at: float) -> None:
        self.envelope = envelope
        self.written_at = written_at
        self.end = 0
        """Position of the end of its content in the session's bytes; 0 until that is written."""


class ChunkedSession(WireSession):
    """Writes whole transactions, each with its own RSET, without waiting for replies.

    The next transaction is written when the oldest has its four replies. Only one transaction is in
    flight until the server has shown that it understands BDAT and RSET.
    """

    _link: WindowedLink

    def __init__(
        self,
        transport: asyncio.Transport,
        offer: Offer,
        timeout_seconds: float,
        messages: int | None,
        messages_in_flight: int,
        signer: Signer | None = None,
    ) -> None:
        patience = [timeout_seconds] * len(PHASES)
        patience[BODY] *= DOT_TIMEOUT_FACTOR
        link = WindowedLink(transport, patience)
        super().__init__(link, offer, timeout_seconds, messages, signer)
        self._loop = asyncio.get_running_loop()
        self._window = Window(messages_in_flight)
        self._wording: Wording | None = None
        self._is_proven = False
        self._under_way: deque[_UnderWay] = deque()
        self._bytes = 0
        self._over: Attempt | None = None

    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        ahead = Ahead(flight, self._link.wake)
        current: Envelope | None = envelope
        try:
            while current is not None:
                await self._write(flight, current)
                current = await self._following(flight, ahead)
        finally:
            self._book(flight)  # since replies that came before a cancellation count
            await ahead.close()

    async def _write(self, flight: InFlight, envelope: Envelope) -> None:
        """Write a transaction, as fast as the server reads it.

        The replies to BDAT and RSET are expected only after the last part: an earlier reply is out
        of step.
        """
        content = envelope.content if envelope.signed is None else await envelope.signed
        message = _UnderWay(envelope, self._loop.time())
        self._under_way.append(message)
        self._bytes += len(envelope.content)
        data, start, expected = transaction(envelope, content, self._offer), 0, BODY
        while len(data) - start > PART_BYTES and self._link.is_open:
            self._link.write(data[start : start + PART_BYTES], expected)
            start, expected = start + PART_BYTES, 0
            await asyncio.sleep(0)  # let other sessions send, and replies be read
            await self._drain(flight)
        if self._link.is_open:
            flight.dot(envelope)
            end = self._link.write(data[start:], expected + len(PHASES) - BODY)
            message.end = end - len(RSET)

    async def _drain(self, flight: InFlight) -> None:
        self._book(flight)
        while self._link.is_full:
            await self._link.change()
            self._book(flight)

    async def _following(self, flight: InFlight, ahead: Ahead) -> Envelope | None:
        """Process replies until there is an envelope to write; None: no more, none in flight."""
        while True:
            self._book(flight)
            if not self._under_way:
                await self._make_certain(flight)
                envelope = ahead.take()
                if ahead.coming is not None:
                    await self._watch(ahead.coming)
                    envelope = ahead.take()
                return envelope
            if self._has_room and (envelope := ahead.take()):
                return envelope
            await self._link.change()

    async def _make_certain(self, flight: InFlight) -> None:
        """Confirm held outcomes before the next message is sent."""
        self._check_surplus()
        if self._held and self._link.is_open:
            await self._greet_again(flight)
        if self._over is not None:
            raise SessionError(self._over)

    @property
    def _has_room(self) -> bool:
        is_ending = self._over is not None or self._link.is_closing or bool(self._held)
        has_window = len(self._under_way) < self._window.size and self._bytes < _MOST_BYTES
        return has_window and not (is_ending or self._link.is_full)

    def _book(self, flight: InFlight) -> None:
        try:
            while self._under_way and self._link.has_news:
                self._book_one(flight, self._under_way.popleft())
        except OutOfStepError:
            self._under_way.clear()
            raise

    def _book_one(self, flight: InFlight, message: _UnderWay) -> None:
        envelope = message.envelope
        self._bytes -= len(envelope.content)
        replies = self._link.replies()
        result = conclusion(
            replies,
            self._link.fault,
            is_complete=message.end > 0 and self._link.may_have_arrived(message.end),
            closing=self._link.closing,
            wording=self._wording,
        )
        if result.is_certain:
            flight.settle(envelope, result.attempt)
        else:
            self._hold(envelope, result.attempt)
        self._over = self._over or result.end
        if result.attempt.phase is Phase.BODY and result.end is None and result.is_certain:
            if not self._is_proven and len(replies) == len(PHASES):
                self._is_proven, self._wording = True, Wording.of(replies)
            self._window.answered(self._loop.time() - message.written_at)
