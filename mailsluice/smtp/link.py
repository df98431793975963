"""The wire under a session: bytes out, replies in, one wake-up for any number of replies."""

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
"""How long a server that has said 421 may take to close the link, or to say more."""
_TICKS_PER_TIMEOUT = 8
_MOST_TICK_SECONDS = 1.0


class Fault(NamedTuple):
    """Why a link is over."""

    text: str
    reply: Reply | None = None
    """The reply that ended it: a 421, or one that nobody had asked for."""
    is_silence: bool = False
    """Whether a reply did not come in time: it may have been lost, and others taken for it."""
    is_out_of_step: bool = False
    """Whether there were more replies than commands."""

    @property
    def cause(self) -> LocalCause | None:
        """What this makes the cause of an attempt that gets no reply."""
        return LocalCause.NO_REPLY if self.is_silence else None


_NO_FAULT = Fault("")


class Link(asyncio.Protocol):
    """Takes over a transport that is logged in.

    Nothing here raises for trouble on the wire: an exchange gives the replies that came, in order;
    where they are fewer than asked for, `is_open` is false and `fault` says why. That goes for a
    cancelled exchange too: the caller books what came, and then calls `raise_if_cancelled`.

    A reply may take `timeout_seconds` (up to an eighth more), each one from the moment the one
    before it was complete: a server that sends a byte now and then gains no time by it. One timer a
    link watches over it, none a message.

    A 421 does not end the link by itself. A server that means it closes the link, which is waited
    for; one that goes on shows that the 421 was not the reply it was taken for.
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
        """The 421 that the server has said."""
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._cancelled: asyncio.CancelledError | None = None
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Done when the link is over: for a session that waits for something else."""
        self._ended: asyncio.Future[None] = self._loop.create_future()
        """Done when the server, or the network, has ended it."""
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        transport.set_protocol(self)
        if transport.is_closing():  # its end was told to the protocol before this one
            self._break(Fault("the server closed the link"))

    @property
    def is_open(self) -> bool:
        """Whether nothing has gone wrong so far."""
        return self.fault is _NO_FAULT

    async def exchange(
        self, data: bytes, expected: int, timeout_seconds: float | None = None
    ) -> list[Reply]:
        """Write, and wait for that many replies; fewer come back only where it is over.

        `timeout_seconds` is for the first reply, where it differs from the link's.
        """
        if self.is_open:
            self._expected = expected
            self._transport.write(data)
            await self._wait(timeout_seconds or self._timeout)
            self._expected = 0
        replies, self._replies = self._replies, []
        return replies

    async def stream(self, content: bytes) -> bytes:
        """Write all but the last part of a long content, as fast as the server takes it.

        Gives what is left to write: as long as it is not written, the message is not complete. A
        link that breaks up to here has not delivered it.
        """
        start = 0
        while len(content) - start > _CHUNK and self.is_open:
            self._transport.write(content[start : start + _CHUNK])
            start += _CHUNK
            await asyncio.sleep(0)  # others want to send too, and an end of the link to be told
            if self._paused:
                await self._wait(self._timeout)
        return content[start:]

    async def is_closed_by_server(self) -> bool:
        """Whether the server closes the link now: a refusal that nobody had asked for was its last
        word then, rather than a reply out of step.
        """
        await asyncio.wait({self._ended}, timeout=min(self._timeout, CLOSING_SECONDS))
        return self._ended.done()

    async def quit(self) -> None:
        """Say good-bye and close. The mail is settled by now, so nothing here is worth an error."""
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
        """Let a cancellation go on that `exchange` or `stream` held back."""
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
        """A reply with no command open: the server's last word, or one too many."""
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
