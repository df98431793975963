"""The link under a session: write bytes, read replies, and wake the session when all have come."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from mailsluice.core.local_cause import LocalCause
from mailsluice.smtp.commands import QUIT
from mailsluice.smtp.replies import Reply, ReplyParser

SERVICE_CLOSING = 421
_CHUNK = 65_536
_QUIT_SECONDS = 5.0
CLOSING_SECONDS = 5.0
"""The time that a server has after a 421 to close the link, or to send another reply."""
_TICKS_PER_TIMEOUT = 8
_MOST_TICK_SECONDS = 1.0


class Fault(NamedTuple):
    """The reason for which a link has ended."""

    text: str
    reply: Reply | None = None
    """The reply that ended the link: a 421, or a reply to no command."""
    is_silence: bool = False
    """Whether a reply did not come in time, so that another may have been taken for it."""
    is_out_of_step: bool = False
    """Whether there were more replies than commands."""

    @property
    def cause(self) -> LocalCause | None:
        """The cause of an attempt that gets no reply because of this fault."""
        return LocalCause.NO_REPLY if self.is_silence else None


_NO_FAULT = Fault("")


class Link(asyncio.Protocol):
    """A link over a transport on which the login is complete.

    No method raises for trouble on the wire: an exchange returns the replies that came, in order.
    If they are fewer than expected, `is_open` is false, and `fault` has the reason. The same holds
    for a cancelled exchange: the caller processes the replies, and then calls `raise_if_cancelled`.

    A reply may take `timeout_seconds` (or up to an eighth more) from the moment at which the reply
    before it was complete. So a server gains no time by sending single bytes. One timer for each
    link watches this, rather than one for each message.

    A 421 alone does not end the link. A server that means the 421 closes the link, so the session
    waits for that. A server that continues shows that the 421 was the reply to another command.
    """

    def __init__(self, transport: asyncio.Transport, timeout_seconds: float) -> None:
        self.fault = _NO_FAULT
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._timeout = timeout_seconds
        self._tick_seconds = min(timeout_seconds / _TICKS_PER_TIMEOUT, _MOST_TICK_SECONDS)
        self._parser = ReplyParser()
        self._replies: list[Reply] = []
        self._expected = 0
        self.closing: Reply | None = None
        """The 421 that the server has sent."""
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._cancelled: asyncio.CancelledError | None = None
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Done when the link has ended, for a session that waits for something else."""
        self._ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the server, or the network, has ended the link."""
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        transport.set_protocol(self)
        if transport.is_closing():  # the protocol before this one was notified of its end
            self._break(Fault("the server closed the link"))

    @property
    def is_open(self) -> bool:
        """Whether the link has not ended."""
        return self.fault is _NO_FAULT

    async def exchange(
        self, data: bytes, expected: int, timeout_seconds: float | None = None
    ) -> list[Reply]:
        """Write data, and wait for `expected` replies; fewer are returned only if the link ended.

        `timeout_seconds` is the time for the first reply, if it differs from the link's.
        """
        if self.is_open:
            self._expected = expected
            self._transport.write(data)
            await self._wait(timeout_seconds or self._timeout)
            self._expected = 0
        replies, self._replies = self._replies, []
        return replies

    async def stream(self, content: bytes) -> bytes:
        """Write a long content, except its last part, as fast as the server reads it.

        Returns the last part. As long as that is not written, the message is incomplete, so a link
        that breaks before has not delivered it.
        """
        start = 0
        while len(content) - start > _CHUNK and self.is_open:
            self._transport.write(content[start : start + _CHUNK])
            start += _CHUNK
            await asyncio.sleep(0)  # let other sessions send, and the end of the link be noticed
            if self._paused:
                await self._wait(self._timeout)
        return content[start:]

    async def is_closed_by_server(self) -> bool:
        """Wait for the server to close the link; return whether it did.

        If so, a refusal without a command was the server's last reply, rather than out of step.
        """
        await asyncio.wait({self._ended}, timeout=min(self._timeout, CLOSING_SECONDS))
        return self._ended.done()

    async def quit(self) -> None:
        """Send QUIT and close the link. All mail is settled by now, so errors are ignored."""
        await self.exchange(QUIT, 1, min(self._timeout, _QUIT_SECONDS))
        self._timer.cancel()
        self._transport.close()
        self.raise_if_cancelled()

    def abort(self, text: str = "the link was dropped on our side") -> None:
        """Drop the link at once."""
        self._drop(Fault(text))

    def _drop(self, fault: Fault) -> None:
        self._break(fault)
        self._timer.cancel()
        self._transport.abort()

    def raise_if_cancelled(self) -> None:
        """Raise the cancellation that `exchange` or `stream` held back, if there was one."""
        if self._cancelled is not None:
            raise self._cancelled

    async def _wait(self, timeout_seconds: float) -> None:
        self._deadline = self._loop.time() + timeout_seconds
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError as cancelled:
            self._cancelled = cancelled
            self.abort("the session was stopped")
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, fault: Fault) -> None:
        if self.is_open:
            self.fault = fault
            self.over.set_result(None)
        self._wake()

    def _tick(self) -> None:
        if self._waiter is not None and self._loop.time() > self._deadline:
            text = f"no answer in time (timeout_seconds is {self._timeout:g})"
            self._drop(Fault(text, self.closing, is_silence=True))
            return
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        replies = self._parser.feed(data)
        for reply in replies:
            if len(self._replies) == self._expected:
                self._break(self._surplus(reply))
                return
            self._replies.append(reply)
            if reply.code == SERVICE_CLOSING:
                self.closing = reply
        if self._parser.malformed is not None:
            self._break(Fault(self._parser.malformed, self.closing))
        elif self._expected and len(self._replies) == self._expected:
            self._wake()
        elif replies:
            seconds = CLOSING_SECONDS if self.closing else self._timeout
            self._deadline = self._loop.time() + min(seconds, self._timeout)

    def _surplus(self, reply: Reply) -> Fault:
        """Return the fault for a reply to no command: the server's last one, or out of step."""
        is_idle = not self._expected and 400 <= reply.code < 500
        if is_idle or reply.code == SERVICE_CLOSING:
            return Fault("the server ended the session", reply)
        return Fault("a reply that answers no command", reply, is_out_of_step=True)

    def eof_received(self) -> None:
        self._end(Fault("the server closed the link"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Fault(f"the link broke: {exc}" if exc else "the server closed the link"))
        self._timer.cancel()

    def _end(self, fault: Fault) -> None:
        if self.closing is not None:
            fault = Fault("the server ended the session", self.closing)
        self._break(fault)
        if not self._ended.done():
            self._ended.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if not self._expected:
            self._wake()
