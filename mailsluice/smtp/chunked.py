"""A session with several messages under way at once (RFC 3030 with RFC 2920)."""

from __future__ import annotations

import asyncio
from collections import deque

from mailsluice.envelope import Envelope
from mailsluice.outcome import Attempt, Phase
from mailsluice.smtp.ahead import Ahead
from mailsluice.smtp.chunk_transaction import PHASES, conclusion, transaction
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.windowed_link import PART_BYTES, WindowedLink
from mailsluice.smtp.wire import DOT_TIMEOUT_FACTOR, WireSession

_MOST_BYTES = 4 * 1024 * 1024
"""Under way in one session: what waits for its reply is kept in memory."""


class ChunkedSession(WireSession):
    """Writes whole transactions, each with its own RSET, without waiting for replies.

    The next one goes out as soon as the oldest has its four replies. Before a server has shown that
    it understands RSET and BDAT, one goes at a time.
    """

    _link: WindowedLink

    def __init__(
        self,
        transport: asyncio.Transport,
        offer: Offer,
        timeout_seconds: float,
        messages: int | None,
        messages_in_flight: int,
    ) -> None:
        patience = [timeout_seconds] * (len(PHASES) - 1) + [DOT_TIMEOUT_FACTOR * timeout_seconds]
        super().__init__(WindowedLink(transport, patience), offer, timeout_seconds, messages)
        self._window = messages_in_flight
        self._is_proven = False
        self._under_way: deque[Envelope] = deque()
        self._bytes = 0
        self._over: Attempt | None = None

    async def _run(self, flight: InFlight, envelope: Envelope) -> None:
        ahead = Ahead(flight, self._link.wake)
        current: Envelope | None = envelope
        try:
            while current is not None:
                await self._write(flight, current)
                current = await self._next(flight, ahead)
        finally:
            self._book(flight)  # what came before a cancellation counts
            await ahead.close()

    async def _write(self, flight: InFlight, envelope: Envelope) -> None:
        """Write a transaction, a long one as fast as the server takes it.

        The reply to BDAT is expected with the last part: one that comes before is out of turn.
        """
        self._under_way.append(envelope)
        self._bytes += len(envelope.content)
        data, start, expected = transaction(envelope, self._offer), 0, len(PHASES) - 1
        while len(data) - start > PART_BYTES and self._link.is_open:
            self._link.write(data[start : start + PART_BYTES], expected)
            start, expected = start + PART_BYTES, 0
            await asyncio.sleep(0)  # others want to send too, and replies to be read
            await self._drain(flight)
        if self._link.is_open:
            flight.dot(envelope)
            self._link.write(data[start:], expected + 1)

    async def _drain(self, flight: InFlight) -> None:
        self._book(flight)
        while self._link.is_full:
            await self._link.change()
            self._book(flight)

    async def _next(self, flight: InFlight, ahead: Ahead) -> Envelope | None:
        """Book replies until there is something to write; None: and nothing is under way."""
        while True:
            self._book(flight)
            if not self._under_way:
                if self._over is not None:
                    raise SessionError(self._over)
                return await ahead.wait()
            if self._has_room and (envelope := ahead.take()):
                return envelope
            await self._link.change()

    @property
    def _has_room(self) -> bool:
        window = self._window if self._is_proven else 1
        is_ending = self._over is not None or self._link.is_closing
        has_window = len(self._under_way) < window and self._bytes < _MOST_BYTES
        return has_window and not (is_ending or self._link.is_full)

    def _book(self, flight: InFlight) -> None:
        while self._under_way and self._link.has_news:
            envelope = self._under_way.popleft()
            self._bytes -= len(envelope.content)
            replies = self._link.replies()
            is_complete = flight.has_dot(envelope)
            told = conclusion(replies, self._link.fault, is_complete=is_complete)
            flight.settle(envelope, told.attempt)
            self._over = self._over or told.end
            self._is_proven |= told.end is None and told.attempt.phase is Phase.BODY
