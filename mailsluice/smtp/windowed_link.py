"""A link with several transactions under way: replies are taken as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailsluice.smtp.link import CLOSING_SECONDS, SERVICE_CLOSING, Fault, Link
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.send_queue import unacknowledged

PART_BYTES = 65_536
"""What is written at once."""


class WindowedLink(Link):
    """Writes without waiting; wakes its session once for any number of whole transactions.

    A 421 does not end the link by itself: some servers say it and read on, and what was under way
    behind it gets its replies as well. It stands until the server grants another MAIL. Where the
    link ends before that, however it does, nothing behind the 421 was taken.

    `patience` has the seconds that each reply of a transaction may take, from the moment the one
    before it came.
    """

    def __init__(self, transport: asyncio.Transport, patience: Sequence[float]) -> None:
        self._patience = patience
        self._unwritten = bytearray()
        self._written = 0
        self._unacknowledged = 0
        super().__init__(transport, patience[0])

    @property
    def is_closing(self) -> bool:
        """Whether the server has said that it ends the session."""
        return self.closing is not None

    @property
    def is_full(self) -> bool:
        """Whether what was written waits to be sent: no more for now."""
        return self._paused and self.is_open

    @property
    def has_news(self) -> bool:
        """Whether the oldest transaction has all its replies, or will never have them."""
        return len(self._replies) >= len(self._patience) or not self.is_open

    def write(self, data: bytes, expected: int) -> int:
        """Write, by the next `change` or `flush`, and expect so many replies more.

        Gives the number of bytes so far, for `may_have_arrived`.
        """
        if len(self._replies) == self._expected:
            self._be_patient()
        self._expected += expected
        self._unwritten += data
        end = self._written + len(self._unwritten)
        if len(self._unwritten) >= PART_BYTES:
            self.flush()
        return end

    def may_have_arrived(self, end: int) -> bool:
        """Whether so many bytes may have reached the server."""
        return end <= self._written - self._unacknowledged

    def flush(self) -> None:
        """In one piece: a link that the server closes takes no second one, and with that fails
        before its last replies are read.
        """
        if self._unwritten and self.is_open:
            self._transport.write(bytes(self._unwritten))
            self._written += len(self._unwritten)
        self._unwritten.clear()

    def replies(self) -> list[Reply]:
        """Those of the oldest transaction; fewer only where the link is over."""
        count = len(self._patience)
        replies, self._replies = self._replies[:count], self._replies[count:]
        self._expected -= len(replies)
        return replies

    async def change(self) -> None:
        """Wait for news, for room to write, or for `wake`."""
        self.flush()
        if not self.has_news:
            await self._wait(self._deadline - self._loop.time())

    def wake(self) -> None:
        """End a wait: something else has come."""
        self._wake()

    @property
    def _position(self) -> int:
        """Of the next reply in its transaction."""
        return len(self._replies) % len(self._patience)

    def _be_patient(self) -> None:
        seconds = self._patience[self._position]
        if self.closing is not None:
            seconds = min(seconds, CLOSING_SECONDS)
        self._deadline = self._loop.time() + seconds

    def data_received(self, data: bytes) -> None:
        replies = self._parser.feed(data) if self.is_open else []
        for reply in replies:
            if len(self._replies) == self._expected:
                self._break(self._surplus(reply))
                return
            self._replies.append(reply)
            if reply.code == SERVICE_CLOSING:
                self.closing = reply
            elif self.closing and reply.code < 300 and self._position == 1:
                self.closing = None  # MAIL was granted
        if replies:
            self._be_patient()
        if self._parser.malformed is not None:
            self._break(Fault(self._parser.malformed))
        elif replies and (self.has_news or len(self._replies) == self._expected):
            self._wake()

    def eof_received(self) -> None:
        if self.is_open:
            self._unacknowledged = unacknowledged(self._transport)
        super().eof_received()

    def pause_writing(self) -> None:
        self._be_patient()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        self._be_patient()
        self._wake()
