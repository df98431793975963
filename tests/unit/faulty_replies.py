"""An honest server in memory, and a link that changes one of its replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from mailsluice.core.outcome import Attempt
from mailsluice.smtp.chunked import ChunkedSession
from mailsluice.smtp.commands import Hello, Offer
from mailsluice.smtp.link import Link
from mailsluice.smtp.pipelined import PipelinedSession
from mailsluice.smtp.sequential import SequentialSession
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.wire import WireSession
from tests.integration.smtp_fixtures import ListFeed, envelopes
from tests.unit.fake_transport import FakeTransport

ACCEPTED, AT_RCPT, AT_DATA, AT_DOT = "accepted", "rcpt", "data", "dot"
_TEXTS = {
    "EHLO": "mail.example",
    "MAIL": "2.1.0 Ok",
    "RCPT": "2.1.5 Ok",
    "RSET": "2.0.0 Reset",
    "DOT": "2.0.0 Ok: queued as 1A",
}
_MOST_STEPS = 400


@dataclass(frozen=True)
class Change:
    """A change of the reply with this number, counted from 0 after the login."""

    kind: str
    """insert, delete, double or swap (with the next reply)."""
    number: int
    code: int = 0
    """The code of the inserted reply."""


@dataclass
class Server:
    """A server that answers commands in order; a recipient's local part says how it fares."""

    is_terse: bool = False
    """Whether the server answers "250 ok" to every command except EHLO."""
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _buffer: bytes = b""
    _recipient: str | None = None
    _reads_body: bool = False
    _chunk: int | None = None

    def replies(self, data: bytes) -> list[bytes]:
        """Return the replies to these bytes."""
        self._buffer += data
        replies: list[bytes] = []
        while (reply := self._step()) is not None:
            replies.append(reply)
        return [reply + b"\r\n" for reply in replies if reply]

    def _step(self) -> bytes | None:
        if self._chunk is not None:
            if len(self._buffer) < self._chunk:
                return None
            self._buffer, self._chunk = self._buffer[self._chunk :], None
            return self._finish(b"503 5.5.1 no valid recipients")
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        if self._reads_body:
            if line != b".":
                return b""
            self._reads_body = False
            return self._finish(b"554 5.5.1 no valid recipients")
        return self._answer(line.decode())

    def _answer(self, line: str) -> bytes:
        verb = line[:4]
        if verb == "RCPT":
            name = line.partition("<")[2].rpartition("@")[0]
            if name.startswith(AT_RCPT):
                self.refused.append(name)
                return b"550 5.1.1 no such user"
            self._recipient = name
        elif verb == "DATA":
            if self._recipient is None:
                return b"554 5.5.1 no valid recipients"
            if self._recipient.startswith(AT_DATA):
                self.refused.append(self._recipient)
                return b"451 4.3.0 not now"
            self._reads_body = True
            return b"354 go ahead"
        elif verb == "BDAT":
            self._chunk = int(line.split()[1])
            return b""
        elif verb == "QUIT":
            return b"221 bye"
        elif verb in ("EHLO", "RSET"):
            self._recipient = None
        elif verb != "MAIL":  # a line of a body without a 354
            return b"500 5.5.2 unrecognized command"
        return self._granted(verb)

    def _finish(self, nobody: bytes) -> bytes:
        name, self._recipient = self._recipient, None
        if name is None:
            return nobody
        if name.startswith((AT_DOT, AT_DATA)):
            self.refused.append(name)
            return b"554 5.6.0 not this"
        self.accepted.append(name)
        return self._granted("DOT")

    def _granted(self, verb: str) -> bytes:
        terse = self.is_terse and verb != "EHLO"
        return b"250 ok" if terse else f"250 {_TEXTS[verb]}".encode()


@dataclass
class Dialogue:
    """A session with the server, over a link with one change, until it ends."""

    kind: str
    names: Sequence[str]
    change: Change | None = None
    is_terse: bool = False
    is_slow: bool = False
    """Whether replies come one at a time."""
    has_pauses: bool = False
    """Whether the session has to wait for each envelope."""

    def __post_init__(self) -> None:
        self.server = Server(self.is_terse)
        self.count = 0
        """The number of the server's replies so far."""
        self._held: bytes | None = None
        self.error: SessionError | None = None
        addresses = frozenset(f"{name}@example.com" for name in self.names)
        self.feed = ListFeed(envelopes(*self.names), addresses if self.has_pauses else frozenset())

    @property
    def attempts(self) -> dict[str, Attempt]:
        return dict(self.feed.attempts)

    async def run(self) -> None:
        transport = FakeTransport()
        session = self._session(transport)
        link, done = session._link, 0
        task = asyncio.ensure_future(session.send(self.feed))
        coming: list[bytes] = []
        idle = 0
        for _ in range(_MOST_STEPS):
            await asyncio.sleep(0)
            if task.done():
                break
            for data in transport.written[done:]:
                for reply in self.server.replies(data):
                    coming += self._changed(reply)
            done = len(transport.written)
            idle = 0 if coming else idle + 1
            if coming:
                size = 1 if self.is_slow else len(coming)
                link.data_received(b"".join(coming[:size]))
                del coming[:size]
            elif idle > 10:  # nothing happens any more, so the session's time-out ends
                link._deadline = -1.0
                link._tick()
        else:
            raise AssertionError("the session does not end")
        try:
            await task
        except SessionError as error:
            self.error = error
        self.feed.check()

    def _session(self, transport: FakeTransport) -> WireSession:
        hello = Hello(b"EHLO client.example\r\n", "mail.example")
        if self.kind == "chunked":
            offer = Offer(pipelining=True, chunking=True, hello=hello)
            return ChunkedSession(transport, offer, 60.0, None, 3)
        kind = PipelinedSession if self.kind == "pipelined" else SequentialSession
        return kind(Link(transport, 60.0), Offer(hello=hello), 60.0, None)

    def _changed(self, reply: bytes) -> list[bytes]:
        number, self.count = self.count, self.count + 1
        if self._held is not None:
            held, self._held = self._held, None
            return [reply, held]
        if self.change is None or self.change.number != number:
            return [reply]
        match self.change.kind:
            case "insert":
                return [b"%d surplus\r\n" % self.change.code, reply]
            case "double":
                return [reply, reply]
            case "swap":
                self._held = reply
        return []
