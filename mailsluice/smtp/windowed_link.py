"""A link with several transactions in flight, whose replies are taken as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailsluice.smtp.link import CLOSING_SECONDS, SERVICE_CLOSING, Fault, Link
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.send_queue import unacknowledged

PART_BYTES = 65_536
"""Bytes that are written at a time."""


class WindowedLink(Link):
    """A link that writes without waiting, and wakes its session once for whole transactions.

    A 421 alone does not end the link: some servers send a 421 and continue to read, so that
    messages in flight after it are answered as well. The 421 is valid until the server grants
    another MAIL. If the link ends before that, for whatever reason, no message after the 421 was
    accepted.

    `patience` has the seconds that each reply of a transaction may take, from the moment at which
    the reply before it came.
    """

    def __init__(self, transport: asyncio.Transport, patience: Sequence[float]) -> None:
        self._patience = patience
        self._unwritten = bytearray()
        self._written = 0
        self._unacknowledged = 0
        super().__init__(transport, patience[0])

    @property
    def is_closing(self) -> bool:
        """Whether the server has announced the end of the session."""
        return self.closing is not None

    @property
    def is_full(self) -> bool:
        """Whether written bytes are waiting to be sent, so that no more should be written now."""
        return self._paused and self.is_open

    @property
    def has_news(self) -> bool:
        """Whether the oldest transaction has all its replies, or will never get them."""
        return len(self._replies) >= len(self._patience) or not self.is_open

    def write(self, data: bytes, expected: int) -> int:
        """Write data at the next `change` or `flush`, and expect so many more replies.

        Returns the number of bytes written so far, for `may_have_arrived`.
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
        """Whether all bytes up to this position may have reached the server."""
        return end <= self._written - self._unacknowledged

    def flush(self) -> None:
        """Write the waiting data, in one piece.

        A second write to a link that the server has closed would fail, before the last replies are
        read.
        """
        if self._unwritten and self.is_open:
            self._transport.write(bytes(self._unwritten))
            self._written += len(self._unwritten)
        self._unwritten.clear()

    def replies(self) -> list[Reply]:
        """Return the replies of the oldest transaction; fewer only if the link has ended."""
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
        """End a wait, since something else has arrived."""
        self._wake()

    @property
    def _position(self) -> int:
        """The position of the next reply in its transaction."""
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
