"""A session with several messages in flight, on a fake transport."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Verdict
from mailsluice.smtp import chunked
from mailsluice.smtp.chunked import ChunkedSession
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.session import IdleEndError, SessionError
from tests.integration.smtp_fixtures import SENDER, ListFeed, envelopes
from tests.unit.fake_transport import FakeTransport

ACCEPTED, UNCERTAIN, UNTOUCHED = Verdict.ACCEPTED, Verdict.UNCERTAIN, Verdict.UNTOUCHED
OK = b"250 ok\r\n" * 4
WINDOW = 3
LONG = Envelope(2, SENDER, "long@example.com", b"Subject: x\r\n\r\n" + b"x\r\n" * 100_000)


@dataclass
class Later(ListFeed):
    """A feed whose pauses last until `arrival`."""

    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> Envelope | None:
        if self.waiting and self.waiting[0].recipient in self.pauses:
            await self.arrival.wait()
        return await super().next()


class Wire:
    """A session on a fake transport, with the server's side."""

    def __init__(self, mail: list[Envelope], feed: ListFeed | None = None) -> None:
        self.transport = FakeTransport()
        self.feed = feed or ListFeed(mail)
        offer = Offer(pipelining=True, chunking=True)
        self.session = ChunkedSession(self.transport, offer, 60.0, None, WINDOW)
        self.link = self.session._link
        self.task = asyncio.ensure_future(self.session.send(self.feed))

    async def settle(self) -> None:
        """Let all tasks run."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def says(self, data: bytes) -> None:
        self.link.data_received(data)
        await self.settle()

    @property
    def begun(self) -> list[str]:
        """The local parts in the RCPT commands so far."""
        return [
            match[1].decode()
            for match in re.finditer(rb"RCPT TO:<([^@]+)@", b"".join(self.transport.written))
        ]

    async def ends(self) -> SessionError:
        with pytest.raises(SessionError) as caught:
            await self.task
        self.feed.check()
        return caught.value


async def under_way(*names: str) -> Wire:
    """Start a session whose first message is accepted, and fill its window."""
    wire = Wire(envelopes(*names))
    wire.session._window.size = WINDOW
    await wire.settle()
    await wire.says(OK)
    return wire


async def test_after_the_first_message_the_session_stays_full() -> None:
    wire = Wire(envelopes(*"abcdef"))
    await wire.settle()
    assert wire.begun == ["a"]
    await wire.says(OK)
    assert wire.begun == ["a", "b", "c"]
    wire.session._window.size = WINDOW
    await wire.says(OK)
    assert wire.begun == ["a", "b", "c", "d", "e"]
    await wire.says(OK * 2)
    assert wire.begun == ["a", "b", "c", "d", "e", "f"]
    await wire.says(OK * 2)
    await wire.says(OK)
    assert wire.transport.written[-1] == b"QUIT\r\n"
    await wire.says(b"221 bye\r\n")
    await wire.task
    assert set(wire.feed.verdicts().values()) == {ACCEPTED}


async def test_small_transactions_are_written_together() -> None:
    wire = await under_way(*"abcd")
    assert len(wire.transport.written) == 2
    wire.session.abort()
    await wire.ends()


async def test_replies_in_pieces_wake_the_session_only_for_a_whole_transaction() -> None:
    wire = await under_way(*"abcde")
    await wire.says(b"250 ok\r\n" * 3 + b"25")
    assert list(wire.feed.verdicts()) == ["a"]
    await wire.says(b"0 ok\r\n")
    assert list(wire.feed.verdicts()) == ["a", "b"]
    wire.session.abort()
    await wire.ends()


async def test_after_a_break_exactly_the_unanswered_messages_are_uncertain() -> None:
    wire = await under_way(*"abcdefg")
    await wire.says(OK + b"250 ok\r\n" * 2)
    wire.link.connection_lost(ConnectionResetError())
    await wire.ends()
    assert wire.feed.verdicts() == {
        "a": ACCEPTED,
        "b": ACCEPTED,
        "c": UNCERTAIN,
        "d": UNCERTAIN,
        "e": UNCERTAIN,
    }
    assert wire.feed.waiting[0].recipient == "f@example.com"


async def test_messages_after_a_421_are_untouched_if_the_link_ends() -> None:
    wire = await under_way(*"abcde")
    await wire.says(OK + b"421 4.3.2 shutting down\r\n")
    assert wire.begun == ["a", "b", "c", "d"]  # nothing more is written
    wire.link.eof_received()
    error = await wire.ends()
    assert error.attempt.code == 421
    assert wire.feed.verdicts() == {"a": ACCEPTED, "b": ACCEPTED, "c": UNTOUCHED, "d": UNTOUCHED}


async def test_a_server_may_continue_after_a_421() -> None:
    wire = await under_way(*"abcde")
    await wire.says(b"421 4.7.0 slow down\r\n503 no\r\n503 no\r\n250 ok\r\n" + OK)
    assert wire.feed.verdicts() == {"a": ACCEPTED, "b": UNTOUCHED, "c": ACCEPTED}
    wire.link.eof_received()
    await wire.ends()
    assert wire.feed.verdicts()["d"] is UNCERTAIN
    assert wire.begun == ["a", "b", "c", "d"]


EXIM = b"421 too many messages\r\n503 no sender\r\n503 no recipient\r\n"
"""The server keeps refusing, and ends the session at a second RSET."""


@pytest.mark.parametrize(
    "end", [b"250 Reset OK\r\n" + EXIM + b"554 Too many nonmail commands\r\n", b"\x15\x03\r\n"]
)
async def test_messages_after_a_421_are_untouched_if_the_server_reads_on(end: bytes) -> None:
    wire = await under_way(*"abcdef")
    await wire.says(OK + EXIM + end)
    wire.link.connection_lost(ConnectionResetError())
    await wire.ends()
    verdicts = wire.feed.verdicts()
    assert verdicts.pop("a") is verdicts.pop("b") is ACCEPTED
    assert set(verdicts.values()) == {UNTOUCHED}


@pytest.mark.parametrize("surplus", [b"354 go ahead\r\n", b"450 no\r\n", b"hello\r\n"])
async def test_replies_out_of_step_leave_all_messages_uncertain(surplus: bytes) -> None:
    wire = await under_way(*"abcde")
    await wire.says(surplus + OK * 3)
    await wire.ends()
    assert wire.feed.verdicts() == {"a": ACCEPTED, **dict.fromkeys("bcd", UNCERTAIN)}


async def test_a_refusal_affects_only_its_transaction() -> None:
    wire = await under_way(*"abcd")
    await wire.says(b"250 ok\r\n550 5.1.1 no\r\n503 no\r\n250 ok\r\n" + OK * 2)
    assert list(wire.feed.verdicts().values()) == [ACCEPTED, Verdict.FAILED, ACCEPTED, ACCEPTED]
    await wire.says(b"221 bye\r\n")
    await wire.task


async def test_until_the_first_acceptance_one_message_is_in_flight() -> None:
    wire = Wire(envelopes(*"abcd"))
    await wire.settle()
    await wire.says(b"450 4.7.1 too much mail\r\n503 no\r\n503 no\r\n250 ok\r\n")
    assert wire.begun == ["a", "b"]
    wire.session.abort()
    await wire.ends()


async def test_while_the_transport_is_full_no_mail_is_taken() -> None:
    wire = Wire(envelopes(*"abcd"))
    await wire.settle()
    wire.link.pause_writing()
    await wire.says(OK)
    assert wire.begun == ["a", "b"]
    wire.link.resume_writing()
    await wire.settle()
    assert wire.begun == ["a", "b", "c"]
    wire.session.abort()
    await wire.ends()


async def test_the_bytes_in_flight_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunked, "_MOST_BYTES", 1_000)
    mail = envelopes(*"abcd", body=b"x" * 600 + b"\r\n")
    wire = Wire(mail)
    await wire.settle()
    await wire.says(OK)
    assert wire.begun == ["a", "b", "c"]  # with two of them it is too much
    await wire.says(OK)
    assert wire.begun == ["a", "b", "c", "d"]
    wire.session.abort()
    await wire.ends()


async def test_a_link_lost_while_idle_affects_no_message() -> None:
    feed = Later(envelopes("a", "b"), pauses=frozenset({"b@example.com"}))
    wire = Wire([], feed)
    await wire.settle()
    await wire.says(OK)
    wire.link.connection_lost(None)
    assert isinstance(await wire.ends(), IdleEndError)
    assert feed.verdicts() == {"a": ACCEPTED}
    assert wire.begun == ["a"]


async def test_a_long_message_is_not_uncertain_until_its_last_byte_is_written() -> None:
    wire = Wire([*envelopes("a", "b"), LONG])
    await wire.settle()
    wire.transport.full_at, wire.transport.full = 60_000, wire.link.pause_writing
    await wire.says(OK)
    for _ in range(3):
        assert len(wire.transport.written[-1]) < 70_000
        wire.link.resume_writing()
        await wire.settle()
    assert "dot 0" in wire.feed.log
    assert "dot 2" not in wire.feed.log
    wire.link.connection_lost(None)
    await wire.ends()
    assert wire.feed.verdicts() == {"a": ACCEPTED, "b": UNCERTAIN, "long": UNTOUCHED}


async def test_replies_are_processed_while_a_long_message_is_written() -> None:
    wire = Wire([*envelopes("a", "b"), LONG])
    await wire.settle()
    wire.transport.full_at, wire.transport.full = 60_000, wire.link.pause_writing
    await wire.says(OK)
    assert wire.begun == ["a", "b", "long"]
    await wire.says(OK)
    assert list(wire.feed.verdicts()) == ["a", "b"]
    wire.link.connection_lost(None)
    await wire.ends()
    assert wire.feed.verdicts() == {"a": ACCEPTED, "b": ACCEPTED, "long": UNTOUCHED}


async def test_a_reply_before_the_end_of_bdat_refuses_the_message() -> None:
    wire = Wire([LONG])
    wire.link.pause_writing()
    await wire.settle()
    await wire.says(b"250 ok\r\n" * 2 + b"552 5.3.4 too large\r\n")
    await wire.ends()
    assert wire.feed.verdicts() == {"long": Verdict.FAILED}


async def test_mail_that_arrives_while_waiting_for_replies_is_sent_at_once() -> None:
    feed = Later(envelopes(*"abc"), pauses=frozenset({"c@example.com"}))
    wire = Wire([], feed)
    await wire.settle()
    await wire.says(OK)
    assert wire.begun == ["a", "b"]
    feed.arrival.set()
    await wire.settle()
    assert wire.begun == ["a", "b", "c"]
    await wire.says(OK * 2)
    await wire.says(b"221 bye\r\n")
    await wire.task
    assert set(feed.verdicts().values()) == {ACCEPTED}


async def test_each_reply_has_its_own_time_out() -> None:
    wire = await under_way(*"abcd")
    now = wire.link._loop.time()
    assert wire.link._deadline == pytest.approx(now + 60, abs=30)
    await wire.says(b"250 ok\r\n" * 2)
    assert wire.link._deadline == pytest.approx(now + 120, abs=30)  # the time for BDAT's reply
    wire.session.abort()
    await wire.ends()
