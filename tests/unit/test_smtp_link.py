"""The wire under a session, without a wire."""

from __future__ import annotations

import asyncio

from mailsluice.smtp.link import Link
from tests.unit.fake_transport import FakeTransport


async def exchanging(link: Link, expected: int) -> asyncio.Task[list[tuple[int, bytes]]]:
    task = asyncio.ensure_future(link.exchange(b"NOOP\r\n", expected))
    await asyncio.sleep(0)
    return task  # type: ignore[return-value]


async def test_a_transport_that_is_closing_already_is_not_waited_for() -> None:
    transport = FakeTransport(closing=True)
    link = Link(transport, 60)
    assert await link.exchange(b"NOOP\r\n", 1) == []
    assert link.fault.text == "the server closed the link"
    assert transport.written == []
    link.abort()


async def test_an_exchange_wakes_up_once_all_replies_are_there() -> None:
    link = Link(FakeTransport(), 60)
    task = await exchanging(link, 2)
    link.data_received(b"250 a\r\n25")
    await asyncio.sleep(0)
    assert not task.done()
    link.data_received(b"0 b\r\n")
    assert await task == [(250, b"a"), (250, b"b")]
    assert link.is_open
    link.abort()


async def test_a_reply_while_nothing_was_asked_ends_the_link() -> None:
    transport = FakeTransport()
    link = Link(transport, 60)
    link.data_received(b"421 4.4.2 idle for too long\r\n")
    assert await link.exchange(b"NOOP\r\n", 1) == []
    assert link.fault.reply == (421, b"4.4.2 idle for too long")
    assert transport.written == []
    link.abort()


async def test_a_421_is_not_waited_beyond() -> None:
    link = Link(FakeTransport(), 60)
    task = await exchanging(link, 4)
    link.data_received(b"250 a\r\n421 b\r\n")
    assert await task == [(250, b"a"), (421, b"b")]
    link.abort()


async def test_a_long_content_waits_while_the_transport_is_full() -> None:
    transport = FakeTransport()
    link = Link(transport, 60)
    content = b"x" * 200_000
    link.pause_writing()
    task = asyncio.ensure_future(link.stream(content))
    for _ in range(5):
        await asyncio.sleep(0)
    first = len(transport.written)
    assert first == 1
    link.resume_writing()
    rest = await task
    assert rest  # the end is left to the caller
    assert b"".join(transport.written) + rest == content
    link.abort()
