"""Replies come out the same however their bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.smtp.replies import MAX_REPLY_BYTES, Reply, ReplyParser

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
    assert [(one.code, one.text) for one in parsed] == [
        (code, "\n".join(lines)) for code, lines in replies
    ]


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_raise(data: bytes) -> None:
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
def test_servers_are_taken_as_they_are(data: bytes, expected: Reply) -> None:
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
def test_what_is_no_reply_is_malformed_and_ends_it(data: bytes) -> None:
    parser = ReplyParser()
    assert parser.feed(b"250 first\r\n" + data) == [Reply(250, b"first")]
    assert parser.malformed is not None
    assert parser.feed(b"250 later\r\n") == []


@pytest.mark.parametrize("data", [b"250 " + b"x" * MAX_REPLY_BYTES, b"250-x\r\n" * MAX_REPLY_BYTES])
def test_a_reply_without_end_is_malformed(data: bytes) -> None:
    parser = ReplyParser()
    assert parser.feed(data) == []
    assert parser.malformed is not None


def test_its_text_is_one_that_every_database_takes() -> None:
    assert Reply(550, b"no\x00such \xff").text == "no\ufffdsuch \ufffd"
