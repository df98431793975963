"""A session with several messages under way at once (RFC 3030 with RFC 2920)."""

from __future__ import annotations

import asyncio
from collections import deque

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.ahead import Ahead
from mailsluice.smtp.chunk_transaction import BODY, PHASES, Wording, conclusion, transaction
from mailsluice.smtp.commands import RSET, Offer
from mailsluice.smtp.in_flight import InFlight
from mailsluice.smtp.session import OutOfStepError, SessionError
from mailsluice.smtp.window import Window
from mailsluice.smtp.windowed_link import PART_BYTES, WindowedLink
from mailsluice.smtp.wire import DOT_TIMEOUT_FACTOR, WireSession

_MOST_BYTES = 4 * 1024 * 1024
"""Under way in one session: what waits for its reply is kept in memory."""


class _UnderWay:
    """A message on its way."""

    __slots__ = ("end", "envelope", "written_at")

    def __init__(self, envelope: Envelope, written_at: float) -> None:
        self.envelope = envelope
        self.written_at = written_at
        self.end = 0
        """Bytes of the session up to the end of its content; 0 until that is written."""


class ChunkedSession(WireSession):
    """Writes whole transactions, each with its own RSET, without waiting for replies.

    The next one goes out as soon as the oldest has its four replies. Before a server has shown that
    it understands BDAT and RSET, one goes at a time.
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
        patience = [timeout_seconds] * len(PHASES)
        patience[BODY] *= DOT_TIMEOUT_FACTOR
        super().__init__(WindowedLink(transport, patience), offer, timeout_seconds, messages)
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
            self._book(flight)  # what came before a cancellation counts
            await ahead.close()

    async def _write(self, flight: InFlight, envelope: Envelope) -> None:
        """Write a transaction, a long one as fast as the server takes it.

        The replies to BDAT and RSET are expected with the last part: one that comes before is out
        of turn.
        """
        one = _UnderWay(envelope, self._loop.time())
        self._under_way.append(one)
        self._bytes += len(envelope.content)
        data, start, expected = transaction(envelope, self._offer), 0, BODY
        while len(data) - start > PART_BYTES and self._link.is_open:
            self._link.write(data[start : start + PART_BYTES], expected)
            start, expected = start + PART_BYTES, 0
            await asyncio.sleep(0)  # others want to send too, and replies to be read
            await self._drain(flight)
        if self._link.is_open:
            flight.dot(envelope)
            end = self._link.write(data[start:], expected + len(PHASES) - BODY)
            one.end = end - len(RSET)

    async def _drain(self, flight: InFlight) -> None:
        self._book(flight)
        while self._link.is_full:
            await self._link.change()
            self._book(flight)

    async def _following(self, flight: InFlight, ahead: Ahead) -> Envelope | None:
        """Book replies until there is something to write; None: and nothing is under way."""
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
        """Make certain what is held, before the next message goes."""
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

    def _book_one(self, flight: InFlight, one: _UnderWay) -> None:
        envelope = one.envelope
        self._bytes -= len(envelope.content)
        replies = self._link.replies()
        told = conclusion(
            replies,
            self._link.fault,
            is_complete=one.end > 0 and self._link.may_have_arrived(one.end),
            closing=self._link.closing,
            wording=self._wording,
        )
        if told.is_certain:
            flight.settle(envelope, told.attempt)
        else:
            self._hold(envelope, told.attempt)
        self._over = self._over or told.end
        if told.attempt.phase is Phase.BODY and told.end is None and told.is_certain:
            if not self._is_proven and len(replies) == len(PHASES):
                self._is_proven, self._wording = True, Wording.of(replies)
            self._window.answered(self._loop.time() - one.written_at)
