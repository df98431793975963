"""Replies are parsed the same, however their bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.replies import (
    LINE_BYTES,
    MAX_LINES,
    MAX_REPLY_BYTES,
    TEXT_BYTES,
    Reply,
    ReplyParser,
    bounded,
)
from mailsluice.smtp.session import SessionError, reply_text
from tests.unit.growth import TIMES, is_in_proportion

TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Z"]), max_size=20)
REPLIES = st.tuples(st.integers(200, 599), st.lists(TEXTS, min_size=1, max_size=4))


def wire(code: int, lines: list[str]) -> bytes:
    *first, last = lines
    parts = [*(f"{code}-{line}\r\n" for line in first), f"{code} {last}\r\n"]
    return "".join(parts).encode()


@given(st.lists(REPLIES, max_size=6), st.data())
def test_replies_survive_any_cut(replies: list[tuple[int, list[str]]], data: st.DataObject) -> None:
    stream = b"".join(wire(*reply) for reply in replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = ReplyParser()
    parsed: list[Reply] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        parsed += parser.feed(stream[start:end])
    assert parser.malformed is None
    assert [(reply.code, reply.text) for reply in parsed] == [
        (code, "\n".join(lines)) for code, lines in replies
    ]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    parser = ReplyParser()
    for reply in parser.feed(data):
        assert 200 <= reply.code < 600
        assert isinstance(reply.text, str)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"250\r\n", Reply(250, b"")),  # a code alone (RFC 5321 section 4.2)
        (b"250 \r\n", Reply(250, b"")),
        (b"250 ok\n", Reply(250, b"ok")),  # a bare line feed
        (b"250-a\r\n250\r\n", Reply(250, b"a\n")),
        (b"250 caf\xe9\r\n", Reply(250, b"caf\xe9")),  # not UTF-8
    ],
)
def test_unusual_replies_of_servers_are_parsed(data: bytes, expected: Reply) -> None:
    assert ReplyParser().feed(data) == [expected]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"+25 ok\r\n",
        b"250-a\r\n251 b\r\n",  # one reply, two codes
    ],
)
def test_other_lines_are_malformed_and_end_the_parsing(data: bytes) -> None:
    parser = ReplyParser()
    assert parser.feed(b"250 first\r\n" + data) == [Reply(250, b"first")]
    assert parser.malformed is not None
    assert parser.feed(b"250 later\r\n") == []


@pytest.mark.parametrize("data", [b"250 " + b"x" * MAX_REPLY_BYTES, b"250-x\r\n" * MAX_REPLY_BYTES])
def test_a_reply_without_end_is_malformed(data: bytes) -> None:
    parser = ReplyParser()
    assert parser.feed(data) == []
    assert parser.malformed is not None


def test_the_text_can_be_stored_in_every_database() -> None:
    assert Reply(550, b"no\x00such \xff").text == "no\ufffdsuch \ufffd"


def test_the_kept_part_of_a_reply_is_bounded() -> None:
    lines = b"".join(b"250-%b\r\n" % (b"x" * 900) for _ in range(20))
    (reply,) = ReplyParser().feed(lines + b"250 end\r\n")
    assert len(reply.raw) <= TEXT_BYTES
    assert max(map(len, reply.raw.split(b"\n"))) <= LINE_BYTES
    (reply,) = ReplyParser().feed(b"550 " + b"x" * 60_000 + b"\r\n")
    assert len(reply.raw) <= LINE_BYTES


def test_a_reply_of_too_many_lines_is_malformed() -> None:
    parser = ReplyParser()
    for _ in range(MAX_LINES + 1):
        assert parser.feed(b"250-\r\n") == []
    assert parser.malformed is not None


def test_texts_of_other_parsers_are_cut_in_the_same_way() -> None:
    text = bounded("\n".join("x" * 900 for _ in range(20)))
    assert len(text) == TEXT_BYTES
    assert max(map(len, text.split("\n"))) == LINE_BYTES
    assert bounded("as it is\nwith two lines") == "as it is\nwith two lines"


def test_the_message_of_an_error_is_bounded() -> None:
    error = SessionError(Attempt(Phase.LOGIN, 535, "x" * 65_000))
    assert len(error.attempt.text) <= TEXT_BYTES


HOSTILE = ("x", "x@", "@", "<x@y ", "a.", "client host ", "the server offers ", "5.7.1 ", " \t")
"""Pieces that could make a pattern backtrack."""


@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear_in_the_text(piece: str) -> None:
    """A pattern that backtracks takes four times as long for twice the text."""

    def work(text: str) -> None:
        attempt = Attempt(Phase.MAIL, None, text)
        for _ in range(5):
            reply_text(attempt)

    short = (piece * 20_000)[:20_000]
    assert is_in_proportion(work, short, short * TIMES, nothing=0.02)


def test_single_bytes_of_a_long_reply_take_no_longer() -> None:
    def work(data: bytes) -> None:
        parser = ReplyParser()
        for byte in data:
            parser.feed(bytes([byte]))

    short = b"x" * 3_750
    assert is_in_proportion(work, short, short * TIMES, nothing=0.0)
