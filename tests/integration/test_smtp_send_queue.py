"""A server that closes while bytes are in flight: what cannot have arrived is untouched."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import Any

import pytest

from mailsluice.core.outcome import Verdict
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import SessionError
from tests.integration.smtp_fixtures import ListFeed, envelopes, run, stream_server

EHLO = b"250-mail.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
SMALL_BUFFER = 4_096


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the first message, read nothing of the others, and close the link."""
    sock: Any = writer.get_extra_info("socket")
    writer.write(b"220 mail.example\r\n")
    await reader.readline()
    writer.write(EHLO)
    await reader.readuntil(b"RSET\r\n")
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"250 ok\r\n" * 4)
    unread = 0
    while unread < SMALL_BUFFER // 4:  # the first of the others has arrived in the kernel
        await asyncio.sleep(0.01)
        (unread,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    writer.write_eof()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not tell")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_message_that_the_server_did_not_acknowledge_is_not_uncertain(loop: str) -> None:
    large = envelopes("large", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 10_000)
    feed = ListFeed([*envelopes("a", "small"), *large])

    async def work() -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        listener.bind(("127.0.0.1", 0))
        async with stream_server(_serve, listener) as port:
            connection = Connection(
                "red", "127.0.0.1", port, Security.NONE, messages_in_flight=5, timeout_seconds=60.0
            )
            session = await open_session(connection)
            with pytest.raises(SessionError):
                await session.send(feed)

    run(work, loop)
    feed.check()
    assert feed.verdicts() == {
        "a": Verdict.ACCEPTED,
        "small": Verdict.UNCERTAIN,
        "large": Verdict.UNTOUCHED,
    }
