"""What the SMTP tests share: certificates, servers, and a feed that remembers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import uvloop

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Verdict, classify
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import SessionError
from tests.integration.hurried_loop import HurriedLoop
from tests.smtpd import Settings, SmtpServer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": HurriedLoop,
    "uvloop": uvloop.new_event_loop,
}
SENDER = "news@example.com"
KINDS = {"sequential": (), "pipelined": ("PIPELINING",), "chunked": ("PIPELINING", "CHUNKING")}
"""What a server offers, by the kind of session that follows."""


@dataclass(frozen=True)
class Certificates:
    """A CA, the file that makes a client trust it, and servers' contexts."""

    authority: trustme.CA
    ca_file: str

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        authority = trustme.CA()
        path = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(path))
        return cls(authority, str(path))

    def context(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """A server's context with a certificate for this name."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(name).configure_cert(context)
        return context


def connection_to(server: SmtpServer, **fields: Any) -> Connection:
    """The connection that reaches a test server, without encryption unless told otherwise."""
    defaults: dict[str, Any] = {
        "security": Security.NONE,
        "local_hostname": "client.example",
        "timeout_seconds": 60.0,
        "messages_in_flight": 5,  # where the server offers CHUNKING
    }
    return Connection("test", server.host, server.port, **{**defaults, **fields})


def secured(settings: dict[str, Any], security: Security, certificates: Certificates) -> Settings:
    """Server settings for one way of encryption."""
    if security is Security.NONE:
        return Settings(**settings)
    from_start = security is Security.TLS
    return Settings(**settings, tls=certificates.context(), tls_from_start=from_start)


def envelopes(*names: str, sender: str = SENDER, body: bytes = b"Hello\r\n") -> list[Envelope]:
    """One envelope a local part."""
    return [
        Envelope(number, sender, f"{name}@example.com", b"Subject: %d\r\n\r\n%b" % (number, body))
        for number, name in enumerate(names)
    ]


@dataclass
class ListFeed:
    """Gives envelopes from a list. `pauses` are the recipients that must be waited for."""

    waiting: list[Envelope]
    pauses: frozenset[str] = frozenset()
    taken: list[Envelope] = field(default_factory=list)
    attempts: list[tuple[str, Attempt]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    async def next(self) -> Envelope | None:
        await asyncio.sleep(0)
        return self._pop()

    def next_nowait(self) -> Envelope | None:
        if self.waiting and self.waiting[0].recipient in self.pauses:
            return None
        return self._pop()

    def _pop(self) -> Envelope | None:
        if not self.waiting:
            return None
        self.taken.append(self.waiting.pop(0))
        return self.taken[-1]

    def dot(self, envelope: Envelope) -> None:
        self.log.append(f"dot {envelope.recipient_id}")

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        self.log.append(f"settled {envelope.recipient_id}")
        self.attempts.append((envelope.recipient.partition("@")[0], attempt))

    def attempt(self, name: str) -> Attempt:
        """How the one attempt at this local part ended."""
        (attempt,) = [attempt for one, attempt in self.attempts if one == name]
        return attempt

    def verdicts(self) -> dict[str, Verdict]:
        return {name: classify(attempt).verdict for name, attempt in self.attempts}

    def check(self) -> None:
        """Whatever was taken is settled once."""
        settled = sorted(name for name, _ in self.attempts)
        assert settled == sorted(one.recipient.partition("@")[0] for one in self.taken)


def run(
    work: Callable[[], Coroutine[Any, Any, Any]],
    loop: str = "asyncio",
    hanging: SmtpServer | None = None,
) -> Any:
    """Run on a loop of its own; once the server `hanging` hangs, time-outs take no time."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        if hanging is not None:
            hurried = runner.get_loop()
            assert isinstance(hurried, HurriedLoop)
            hanging.script.on_hang = hurried.hurry
        return runner.run(work())


@asynccontextmanager
async def stream_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    listener: socket.socket | None = None,
) -> AsyncIterator[int]:
    """Serve streams on the test's own loop; gives the port, and closes what was accepted."""
    writers: list[asyncio.StreamWriter] = []

    async def serve_kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    listener = listener or socket.create_server(("127.0.0.1", 0))
    async with await asyncio.start_server(serve_kept, sock=listener):
        try:
            yield int(listener.getsockname()[1])
        finally:
            for writer in writers:  # since Python 3.12 the server waits for their end
                writer.transport.abort()
    await asyncio.sleep(0)  # the transports close their sockets


def deliver(
    connection: Connection,
    mail: Iterable[Envelope],
    loop: str = "asyncio",
    pauses: Iterable[str] = (),
    hanging: SmtpServer | None = None,
) -> tuple[ListFeed, SessionError | None]:
    """Open one session and send; gives the feed and how the session ended.

    Where the server may hang, it is `hanging`: its silence is not waited for.
    """
    feed = ListFeed(list(mail), frozenset(f"{name}@example.com" for name in pauses))

    async def work() -> SessionError | None:
        try:
            session = await open_session(connection)
            await session.send(feed)
        except SessionError as error:
            return error
        return None

    error = run(work, loop, hanging)
    feed.check()
    return feed, error
