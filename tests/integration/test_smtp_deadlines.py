"""A server that sends single bytes, or reads none, gains no time: each reply has a time-out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mailsluice.core.outcome import Verdict
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import SessionError
from tests.integration.hurried_loop import HurriedLoop
from tests.integration.smtp_fixtures import ListFeed, envelopes, run, stream_server

TIMEOUT_SECONDS = 60.0
BYTE_SECONDS = 0.5
REPLIES = {
    "EHLO": b"250-mail.example\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go ahead\r\n",
    ".": b"250 ok\r\n",
    "RSET": b"250 ok\r\n",
}
"""Seconds until the stage at which the server becomes slow."""


def _hurry() -> None:
    """Seconds in which server and client only wait."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HurriedLoop)
    loop.hurry()


class SlowServer:
    """A server that answers until a stage, and from then on sends single bytes without end."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._stage != "greeting":
                writer.write(b"220 mail.example\r\n")
                await self._read_until_stage(reader, writer)
            _hurry()
            while True:
                writer.write(b"2")
                await asyncio.sleep(BYTE_SECONDS)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async def _read_until_stage(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while line := await reader.readline():
            verb = b"".join(line.split()[:1]).decode()
            if verb == self._stage:
                return
            writer.write(REPLIES.get(verb, b""))


FIELDS: dict[str, dict[str, Any]] = {
    "STARTTLS": {"security": Security.STARTTLS},
    "AUTH": {"username": "u", "password": "p", "allow_plain_password": True},
}
"""Settings with which a connection reaches the stage."""


@pytest.mark.parametrize(
    "stage", ["greeting", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", ".", "RSET", "QUIT"]
)
def test_a_reply_in_single_bytes_does_not_hold_up_a_session(stage: str) -> None:
    feed = ListFeed(envelopes("a"))

    async def work() -> None:
        async with stream_server(SlowServer(stage).serve) as port:
            connection = Connection(
                "slow",
                "127.0.0.1",
                port,
                **{"security": Security.NONE, **FIELDS.get(stage, {})},
                local_hostname="client.example",
                timeout_seconds=TIMEOUT_SECONDS,
            )

            async def deliver() -> None:
                session = await open_session(connection)
                await session.send(feed)

            if stage == "QUIT":  # all is settled by then
                await deliver()
            else:
                with pytest.raises(SessionError, match=r"no answer|a reply is missing"):
                    await deliver()

    run(work)
    if stage in (".", "RSET"):  # where one of their replies is missing, it may be either
        assert feed.verdicts() == {"a": Verdict.UNCERTAIN}
    elif stage == "QUIT":
        assert feed.verdicts() == {"a": Verdict.ACCEPTED}
    else:
        assert set(feed.verdicts().values()) <= {Verdict.UNTOUCHED}


def test_a_server_that_reads_no_more_does_not_hold_up_a_session() -> None:
    feed = ListFeed(envelopes("a", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 4_000_000))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        while line := await reader.readline():
            writer.write(REPLIES.get(line[:4].strip().decode(), b""))
            if line.startswith(b"DATA"):
                reader._transport.pause_reading()  # type: ignore[attr-defined]
                _hurry()
                return

    async def work() -> SessionError:
        async with stream_server(serve) as port:
            connection = Connection(
                "deaf", "127.0.0.1", port, Security.NONE, timeout_seconds=TIMEOUT_SECONDS
            )
            session = await open_session(connection)
            with pytest.raises(SessionError) as caught:
                await session.send(feed)
        return caught.value

    assert "no answer in time" in str(run(work))
    assert feed.verdicts() == {"a": Verdict.UNTOUCHED}
