"""An SMTP server that answers as real ones do: it refuses, defers, throttles, delays and hangs up.

What becomes of a recipient depends on its address and a seed, so every sender meets the same mix.
The shares follow what is published: Mailchimp's benchmarks have 0.2 to 1 % hard and about as many
soft bounces by industry; Postgrey, Debian's greylisting, defers the first attempt for a time (300 s
by default, one second here); Yahoo answers `421 4.7.0 [TSS04]` to unusual volume, and ends sessions
after a number of messages. Shares of greylisting and of delays are assumptions.

XSTATE, a command of its own, tells how often each recipient was accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import uvloop

from benchmarks.python_sink import show

UNKNOWN, FULL, GREY, SPAM = 5, 10, 60, 62
"""Of 1,000 recipients: 5 unknown, 5 mailboxes full twice, 50 greylisted, 2 refused by content."""
_FULL_ATTEMPTS = 2
_GREY_SECONDS = 1.0
_SLOW_ONE_IN = 20  # replies to the final dot
_SLOW_SECONDS = 0.05
_SESSION_MESSAGES = 500
_THROTTLED_ONE_IN = 20_000  # messages
_END = b"\r\n.\r\n"
_KEYWORDS = b"250-mixed\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"


@dataclass(slots=True)
class State:
    """The recipients that the server has seen, with their outcomes."""

    seed: int
    clock: Callable[[], float] = time.monotonic
    started: int = 0
    messages: int = 0
    """Accepted messages."""
    accepted: Counter[bytes] = field(default_factory=Counter)
    refused: set[bytes] = field(default_factory=set)
    attempts: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    """Of deferred recipients: their number, and the moment of the first."""

    def kind(self, recipient: bytes) -> int:
        """A number below 1,000 that decides what becomes of a recipient."""
        digest = hashlib.blake2b(recipient, digest_size=4, salt=self.seed.to_bytes(8)).digest()
        return int.from_bytes(digest) % 1_000

    def recipient(self, address: bytes) -> bytes:
        """The reply to RCPT."""
        kind = self.kind(address)
        if kind < UNKNOWN:
            self.refused.add(address)
            return b"550 5.1.1 No such user here\r\n"
        if kind >= GREY:
            return b"250 2.1.5 Ok\r\n"
        attempts, since = self.attempts.get(address, (0, self.clock()))
        self.attempts[address] = (attempts + 1, since)
        if kind < FULL and attempts < _FULL_ATTEMPTS:
            return b"452 4.2.2 Mailbox full\r\n"
        if kind >= FULL and self.clock() < since + _GREY_SECONDS:
            return b"451 4.7.1 Greylisted, try again later\r\n"
        return b"250 2.1.5 Ok\r\n"

    def message(self, address: bytes) -> bytes:
        """The reply to the final dot."""
        if GREY <= self.kind(address) < SPAM:
            self.refused.add(address)
            return b"554 5.7.1 Message looks like spam\r\n"
        self.messages += 1
        self.accepted[address] += 1
        return b"250 2.0.0 Ok\r\n"

    def summary(self) -> dict[str, int]:
        """How many recipients have which final state."""
        return {
            "accepted": len(self.accepted),
            "twice": sum(times > 1 for times in self.accepted.values()),
            "refused": len(self.refused - self.accepted.keys()),
            "left": len(self.attempts.keys() - self.accepted.keys() - self.refused),
        }


class Session(asyncio.Protocol):
    """One session; its replies are written together."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._transport: asyncio.Transport
        self._input = b""
        self._recipient: bytes | None = None
        self._in_body = self._is_held = False
        self._carried = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(b"220 mixed ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._input += data
        if not self._is_held:
            self._go_on()

    def _go_on(self) -> None:
        replies, is_over = [], False
        while not (self._is_held or is_over) and (reply := self._take()) is not None:
            replies.append(reply)
            is_over = reply.startswith((b"221", b"421"))
        self._transport.write(b"".join(replies))
        if is_over:
            self._transport.close()

    def _take(self) -> bytes | None:
        """Take one command, or the body; returns the reply, or None where more input is needed."""
        if self._in_body:
            end = self._input.find(_END)
            if end < 0:
                return None
            self._input = self._input[end + len(_END) :]
            return self._body()
        end = self._input.find(b"\r\n")
        if end < 0:
            return None
        line, self._input = self._input[:end], self._input[end + 2 :]
        return self._command(line)

    def _body(self) -> bytes | None:
        self._in_body = False
        recipient, self._recipient = self._recipient, None
        assert recipient is not None
        self._carried += 1
        reply = self._state.message(recipient)
        if self._state.kind(recipient) % _SLOW_ONE_IN:
            return reply
        self._is_held = True
        asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._release, reply)
        return b""

    def _release(self, reply: bytes) -> None:
        self._is_held = False
        if not self._transport.is_closing():
            self._transport.write(reply)
            self._go_on()

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"MAIL":
            return self._mail()
        if verb == b"RCPT":
            address = line[line.find(b"<") + 1 : line.find(b">")]
            reply = self._state.recipient(address)
            self._recipient = address if reply.startswith(b"250") else None
            return reply
        if verb == b"DATA":
            if self._recipient is None:
                return b"554 5.5.1 No valid recipients\r\n"
            self._in_body = True
            return b"354 End with a dot\r\n"
        if verb == b"EHLO":
            return _KEYWORDS
        if verb == b"QUIT":
            return b"221 2.0.0 Bye\r\n"
        if verb == b"XSTA":
            return b"250 " + json.dumps(self._state.summary()).encode() + b"\r\n"
        return b"250 2.0.0 Ok\r\n"

    def _mail(self) -> bytes:
        self._recipient = None
        if self._carried >= _SESSION_MESSAGES:
            return b"421 4.7.0 Too many messages in this session\r\n"
        self._state.started += 1
        if self._state.started % _THROTTLED_ONE_IN == 0:
            return b"421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume\r\n"
        return b"250 2.1.0 Ok\r\n"


async def serve(port: int, seed: int) -> None:
    """Listen on 127.0.0.1 until killed."""
    state = State(seed)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Session(state), "127.0.0.1", port, backlog=1_000)
    await show(lambda: state.messages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixed_sink", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.seed))
