"""The benchmark's server that does not accept everything: its mix, and what it tells of it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks.mixed_sink import FULL, GREY, SPAM, UNKNOWN, Session, State
from mailsluice.core.outcome import (
    Attempt,
    Outcome,
    Phase,
    Trouble,
    Verdict,
    classify,
    is_about_the_recipient,
)

ADDRESSES = [f"user{number}@example.com".encode() for number in range(5_000)]


class Transport:
    """Keeps what the session writes."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def session(state: State) -> tuple[Session, Transport]:
    opened, transport = Session(state), Transport()
    opened.connection_made(transport)  # type: ignore[arg-type]
    return opened, transport


def of_kind(low: int, high: int) -> bytes:
    """Return an address to which the seed gives such a kind; its reply is not slow."""
    state = State(1)
    return next(one for one in ADDRESSES if low <= state.kind(one) < high and state.kind(one) % 20)


def envelope(address: bytes) -> bytes:
    return b"MAIL FROM:<a@example.com>\r\nRCPT TO:<" + address + b">\r\nDATA\r\n"


def test_the_mix_has_its_shares() -> None:
    kinds = Counter(
        (kind >= UNKNOWN) + (kind >= FULL) + (kind >= GREY) + (kind >= SPAM)
        for kind in map(State(1).kind, ADDRESSES)
    )
    assert [kinds[kind] / len(ADDRESSES) for kind in range(5)] == pytest.approx(
        [0.005, 0.005, 0.05, 0.002, 0.938], abs=0.01
    )


def test_a_message_comes_in_pieces_and_is_counted_once() -> None:
    state = State(1)
    opened, transport = session(state)
    data = envelope(of_kind(SPAM, 1_000)) + b"Subject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n"
    for byte in data:
        opened.data_received(bytes([byte]))
    codes = [line[:3] for line in transport.written.splitlines()]
    assert codes == [b"220", b"250", b"250", b"354", b"250", b"221"]
    assert transport.is_closed
    assert state.summary() == {"accepted": 1, "twice": 0, "refused": 0, "left": 0}


def test_a_greylisted_recipient_is_accepted_later() -> None:
    now = [100.0]
    state, address = State(1, clock=lambda: now[0]), of_kind(FULL, GREY)
    assert state.recipient(address).startswith(b"451")
    assert state.summary()["left"] == 1
    now[0] += 1.1
    assert state.recipient(address).startswith(b"250")
    state.message(address)
    state.message(address)
    assert state.summary() == {"accepted": 1, "twice": 1, "refused": 0, "left": 0}


def test_refusals_are_final_and_told() -> None:
    state = State(1)
    opened, transport = session(state)
    opened.data_received(envelope(of_kind(0, UNKNOWN)) + b"RSET\r\n")
    opened.data_received(envelope(of_kind(GREY, SPAM)) + b"text\r\n.\r\n")
    opened.data_received(b"XSTATE\r\n")
    replies = transport.written.splitlines()
    assert [line[:3] for line in replies[1:9]] == [
        *(b"250", b"550", b"554", b"250"),
        *(b"250", b"250", b"354", b"554"),
    ]
    assert json.loads(replies[-1][4:])["refused"] == 2


def test_a_session_ends_after_its_messages() -> None:
    opened, transport = session(State(1))
    message = envelope(of_kind(SPAM, 1_000)) + b"text\r\n.\r\n"
    for _ in range(500):
        opened.data_received(message)
    assert not transport.is_closed
    opened.data_received(message)
    assert transport.is_closed


@pytest.mark.parametrize("kinds", [(UNKNOWN, FULL), (FULL, GREY)])
def test_deferrals_are_about_one_recipient_and_slow_nobody_down(kinds: tuple[int, int]) -> None:
    reply = State(1).recipient(of_kind(*kinds)).decode().strip()
    attempt = Attempt(Phase.RCPT, int(reply[:3]), reply[4:])
    assert classify(attempt) == Outcome(Verdict.DEFERRED, Trouble.NONE)
    assert is_about_the_recipient(attempt)
