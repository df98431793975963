"""The link under a session, on a fake transport."""

from __future__ import annotations

import asyncio

import pytest

from mailsluice.smtp.link import Link
from mailsluice.smtp.replies import Reply
from tests.unit.fake_transport import FakeTransport


async def exchanging(link: Link, expected: int) -> asyncio.Task[list[Reply]]:
    task = asyncio.ensure_future(link.exchange(b"NOOP\r\n", expected))
    await asyncio.sleep(0)
    return task


async def test_a_closing_transport_ends_the_link_at_once() -> None:
    transport = FakeTransport(closing=True)
    link = Link(transport, 60)
    assert await link.exchange(b"NOOP\r\n", 1) == []
    assert link.fault.text == "the server closed the link"
    assert transport.written == []
    link.abort()


async def test_an_exchange_wakes_up_when_all_replies_have_come() -> None:
    link = Link(FakeTransport(), 60)
    task = await exchanging(link, 2)
    link.data_received(b"250 a\r\n25")
    await asyncio.sleep(0)
    assert not task.done()
    link.data_received(b"0 b\r\n")
    assert await task == [(250, b"a"), (250, b"b")]
    assert link.is_open
    link.abort()


async def test_a_reply_to_no_command_ends_the_link() -> None:
    transport = FakeTransport()
    link = Link(transport, 60)
    link.data_received(b"421 4.4.2 idle for too long\r\n")
    assert await link.exchange(b"NOOP\r\n", 1) == []
    assert link.fault.reply == (421, b"4.4.2 idle for too long")
    assert transport.written == []
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


async def test_single_bytes_do_not_extend_the_time_out() -> None:
    link = Link(FakeTransport(), 60)
    task = await exchanging(link, 2)
    link._deadline -= 1.0  # a second later
    deadline = link._deadline
    for byte in b"250-a\r\n250-b\r\n250 c":
        link.data_received(bytes([byte]))
        assert link._deadline == deadline
    link.data_received(b"\r\n")
    assert link._deadline > deadline
    link.abort()
    await task


async def test_a_surplus_reply_is_out_of_step() -> None:
    link = Link(FakeTransport(), 60)
    task = await exchanging(link, 1)
    link.data_received(b"250 a\r\n550 b\r\n")
    assert await task == [(250, b"a")]
    assert link.fault.is_out_of_step
    link.abort()


@pytest.mark.parametrize("reply", [b"421 4.4.2 timeout\r\n", b"451 4.4.2 timeout\r\n"])
async def test_a_server_that_ends_an_idle_session_is_in_step(reply: bytes) -> None:
    link = Link(FakeTransport(), 60)
    link.data_received(reply)
    assert link.over.done()
    assert not link.fault.is_out_of_step
    link.abort()


async def test_after_a_421_the_server_has_little_time_to_close() -> None:
    link = Link(FakeTransport(), 60)
    task = await exchanging(link, 4)
    link.data_received(b"250 a\r\n421 b\r\n")
    assert link._deadline < link._loop.time() + 10
    link.eof_received()
    assert await task == [(250, b"a"), (421, b"b")]
    assert link.fault.reply == (421, b"b")
    link.abort()
