"""What the replies to RSET, MAIL, RCPT and BDAT say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.envelope import Envelope
from mailsluice.outcome import Phase, Verdict, classify
from mailsluice.smtp.chunk_transaction import PHASES, conclusion, transaction
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.link import Fault
from mailsluice.smtp.replies import Reply

LOST = Fault("the link broke")
CLOSED = Fault("the server ended the session", Reply(421, b"4.3.2 bye"))
MAIL, RCPT, DATA, BODY = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY


def replies(codes: tuple[int, ...]) -> list[Reply]:
    return [Reply(code, b"text") for code in codes]


def test_a_transaction_begins_anew_and_carries_its_content_as_it_is() -> None:
    envelope = Envelope(1, "s@example.com", "r@example.com", b"Subject: x\r\n\r\n.\r\n")
    assert transaction(envelope, Offer(size=True)) == (
        b"RSET\r\nMAIL FROM:<s@example.com> SIZE=17\r\nRCPT TO:<r@example.com>\r\n"
        b"BDAT 17 LAST\r\nSubject: x\r\n\r\n.\r\n"
    )


def test_a_content_without_its_last_line_end_gets_it() -> None:
    envelope = Envelope(1, "s@example.com", "r@example.com", b"Subject: x")
    assert transaction(envelope, Offer()).endswith(b"BDAT 12 LAST\r\nSubject: x\r\n")


@pytest.mark.parametrize(
    ("codes", "phase", "code"),
    [
        ((250, 250, 250, 250), BODY, 250),
        ((250, 250, 251, 250), BODY, 250),
        ((250, 250, 550, 503), RCPT, 550),  # BDAT without a recipient
        ((250, 250, 550, 554), RCPT, 550),
        ((250, 250, 450, 250), RCPT, 450),  # a message for nobody
        ((250, 450, 503, 503), MAIL, 450),
        ((250, 450, 250, 503), MAIL, 450),
        ((250, 250, 250, 452), BODY, 452),
        ((250, 250, 250, 554), BODY, 554),
    ],
)
def test_the_session_goes_on(codes: tuple[int, ...], phase: Phase, code: int) -> None:
    told = conclusion(replies(codes), LOST, is_complete=True)
    assert (told.attempt.phase, told.attempt.code, told.end) == (phase, code, None)


@pytest.mark.parametrize(
    ("codes", "fault", "phase", "code", "verdict"),
    [
        # The link broke with the whole message out: nobody knows, unless it was refused before.
        ((), LOST, BODY, None, Verdict.UNCERTAIN),
        ((250, 250), LOST, BODY, None, Verdict.UNCERTAIN),
        ((250, 250, 250), LOST, BODY, None, Verdict.UNCERTAIN),
        ((250, 450), LOST, MAIL, 450, Verdict.UNTOUCHED),
        ((250, 450, 250), LOST, BODY, None, Verdict.UNCERTAIN),  # contradicts itself
        ((250, 250, 550), LOST, RCPT, 550, Verdict.FAILED),
        # The server said 421, and then the link ended.
        ((), CLOSED, MAIL, 421, Verdict.UNTOUCHED),
        ((421,), CLOSED, MAIL, 421, Verdict.UNTOUCHED),
        ((250, 421), CLOSED, MAIL, 421, Verdict.UNTOUCHED),
        ((250, 250, 421), CLOSED, RCPT, 421, Verdict.UNTOUCHED),
        ((250, 250, 250, 421), CLOSED, BODY, 421, Verdict.UNTOUCHED),
        # It said 421 and went on.
        ((421, 250, 250, 250), LOST, BODY, 250, Verdict.ACCEPTED),
        ((250, 421, 503, 503), LOST, MAIL, 421, Verdict.UNTOUCHED),
        ((421, 250, 250), LOST, BODY, None, Verdict.UNCERTAIN),
        # It offers CHUNKING and does not know BDAT.
        ((250, 250, 250, 500), LOST, DATA, None, Verdict.UNTOUCHED),
        ((250, 250, 250, 503), LOST, DATA, None, Verdict.UNTOUCHED),
    ],
)
def test_the_session_is_over(
    codes: tuple[int, ...], fault: Fault, phase: Phase, code: int | None, verdict: Verdict
) -> None:
    told = conclusion(replies(codes), fault, is_complete=True)
    assert (told.attempt.phase, told.attempt.code) == (phase, code)
    assert classify(told.attempt).verdict is verdict
    assert told.end is not None


def test_a_server_that_does_not_know_bdat_is_told_to_the_operator() -> None:
    told = conclusion(replies((250, 250, 250, 502)), LOST, is_complete=True)
    assert "answers BDAT with 502 text: set messages_in_flight to 1" in told.attempt.text


CODES = st.sampled_from([250, 251, 421, 450, 503, 550, 552])
FAULTS = st.sampled_from([LOST, CLOSED, Fault("surplus", Reply(552, b"too large"))])


@given(st.lists(CODES, max_size=4), FAULTS, st.booleans())
def test_only_its_own_replies_accept_a_message(
    codes: list[int], fault: Fault, is_complete: bool
) -> None:
    told = conclusion(replies(tuple(codes)), fault, is_complete=is_complete)
    accepted = classify(told.attempt).verdict is Verdict.ACCEPTED
    assert accepted == (len(codes) == 4 and codes[2] < 300 and codes[3] < 300)


@given(st.lists(CODES, max_size=3), FAULTS)
def test_a_message_that_is_not_complete_is_never_in_doubt(codes: list[int], fault: Fault) -> None:
    told = conclusion(replies(tuple(codes)), fault, is_complete=False)
    assert told.attempt.phase in PHASES[:3] or told.attempt.phase is DATA
    assert classify(told.attempt).verdict is not Verdict.UNCERTAIN
