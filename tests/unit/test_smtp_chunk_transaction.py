"""The replies to MAIL, RCPT, BDAT and RSET are judged together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Phase, Verdict, classify
from mailsluice.smtp.chunk_transaction import Wording, conclusion, transaction
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.link import Fault
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import OutOfStepError

LOST = Fault("the link broke")
SILENT = Fault("no answer in time", is_silence=True)
CLOSED = Fault("the server ended the session", Reply(421, b"4.3.2 bye"))
MAIL, RCPT, DATA, BODY = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY


def replies(codes: tuple[int, ...]) -> list[Reply]:
    return [Reply(code, b"text") for code in codes]


def test_a_transaction_has_the_content_unchanged_and_ends_with_rset() -> None:
    envelope = Envelope(1, "s@example.com", "r@example.com", b"Subject: x\r\n\r\n.\r\n")
    assert transaction(envelope, envelope.content, Offer(size=True)) == (
        b"MAIL FROM:<s@example.com> SIZE=17\r\nRCPT TO:<r@example.com>\r\n"
        b"BDAT 17 LAST\r\nSubject: x\r\n\r\n.\r\nRSET\r\n"
    )


def test_a_missing_last_line_end_is_added() -> None:
    envelope = Envelope(1, "s@example.com", "r@example.com", b"Subject: x")
    assert transaction(envelope, envelope.content, Offer()).endswith(
        b"BDAT 12 LAST\r\nSubject: x\r\nRSET\r\n"
    )


@pytest.mark.parametrize(
    ("codes", "phase", "code", "is_certain"),
    [
        ((250, 250, 250, 250), BODY, 250, True),
        ((250, 251, 250, 250), BODY, 250, True),
        ((250, 550, 503, 250), RCPT, 550, True),  # BDAT without a recipient
        ((250, 550, 554, 250), RCPT, 550, True),
        ((450, 503, 503, 250), MAIL, 450, True),
        # A single refusal may have come out of nothing.
        ((250, 450, 250, 250), RCPT, 450, False),
        ((250, 250, 452, 250), BODY, 452, False),
        ((250, 250, 554, 250), BODY, 554, False),
    ],
)
def test_after_these_replies_the_session_continues(
    codes: tuple[int, ...], phase: Phase, code: int, is_certain: bool
) -> None:
    result = conclusion(replies(codes), LOST, is_complete=True)
    assert (result.attempt.phase, result.attempt.code, result.end) == (phase, code, None)
    assert result.is_certain == is_certain


@pytest.mark.parametrize(
    ("codes", "fault", "phase", "code", "verdict"),
    [
        # The link broke with the whole message out: nobody knows, unless it was refused before.
        ((), LOST, BODY, None, Verdict.UNCERTAIN),
        ((250,), LOST, BODY, None, Verdict.UNCERTAIN),
        ((250, 250), LOST, BODY, None, Verdict.UNCERTAIN),
        ((450,), LOST, MAIL, None, Verdict.UNTOUCHED),  # it was closing before it read MAIL
        ((250, 550), LOST, RCPT, 550, Verdict.FAILED),
        ((250, 250, 250), LOST, BODY, 250, Verdict.ACCEPTED),  # without the reply to RSET
        # A reply is missing: BDAT's perhaps, and what looks like it is RSET's.
        ((250, 250, 250), SILENT, BODY, None, Verdict.UNCERTAIN),
        ((250, 250, 554), SILENT, BODY, 554, Verdict.FAILED),
        # The server sent 421, and then the link ended.
        ((), CLOSED, MAIL, 421, Verdict.UNTOUCHED),
        ((421,), CLOSED, MAIL, 421, Verdict.UNTOUCHED),
        ((250, 421), CLOSED, RCPT, 421, Verdict.UNTOUCHED),
        ((250, 250, 421), CLOSED, BODY, 421, Verdict.UNTOUCHED),
        ((250, 250, 250, 421), CLOSED, BODY, 250, Verdict.ACCEPTED),
        # The server sent 421 and reads on, but closes at a second RSET.
        ((421, 503, 503, 250), LOST, MAIL, 421, Verdict.UNTOUCHED),
        ((421, 503, 503, 554), LOST, MAIL, 421, Verdict.UNTOUCHED),
        # It offers CHUNKING and does not know BDAT.
        ((250, 250, 500, 500), LOST, DATA, None, Verdict.UNTOUCHED),
        ((250, 250, 503, 250), LOST, DATA, None, Verdict.UNTOUCHED),
    ],
)
def test_after_these_replies_the_session_ends(
    codes: tuple[int, ...], fault: Fault, phase: Phase, code: int | None, verdict: Verdict
) -> None:
    closings = [reply for reply in replies(codes) if reply.code == 421]
    closing = closings[0] if closings else fault.reply
    result = conclusion(replies(codes), fault, is_complete=True, closing=closing)
    assert (result.attempt.phase, result.attempt.code) == (phase, code)
    assert classify(result.attempt).verdict is verdict
    assert result.end is not None


@pytest.mark.parametrize(
    "codes",
    [
        (354,),
        (250, 250, 354, 250),
        (250, 250, 250, 550),  # RSET is always granted
        (250, 250, 250, 354),
        (450, 250, 250, 250),  # nobody takes a message behind a refused MAIL
        (450, 250, 503, 250),
        (421, 250, 250, 250),  # nor behind a 421
    ],
)
def test_impossible_replies_are_out_of_step(codes: tuple[int, ...]) -> None:
    with pytest.raises(OutOfStepError):
        conclusion(replies(codes), LOST, is_complete=True)


MAIL_OK, RCPT_OK, QUEUED = Reply(250, b"2.1.0 Ok"), Reply(250, b"2.1.5 Ok"), Reply(250, b"queued")
RESET, REFUSED = Reply(250, b"2.0.0 Ok"), Reply(554, b"5.6.0 no")


def test_the_words_of_rsets_reply_identify_it() -> None:
    wording = Wording.of([MAIL_OK, RCPT_OK, QUEUED, RESET])
    result = conclusion([MAIL_OK, RCPT_OK, REFUSED, RESET], LOST, is_complete=True, wording=wording)
    assert result.is_certain
    with pytest.raises(OutOfStepError, match="as if it were MAIL"):  # the reply to BDAT is missing
        conclusion([MAIL_OK, RCPT_OK, RESET, MAIL_OK], LOST, is_complete=True, wording=wording)


def test_words_that_are_the_same_for_all_replies_prove_nothing() -> None:
    assert Wording.of([RESET, RCPT_OK, QUEUED, RESET]) is None


def test_a_server_that_does_not_know_bdat_is_reported_with_advice() -> None:
    result = conclusion(replies((250, 250, 502, 250)), LOST, is_complete=True)
    assert "answers BDAT with 502 text: set messages_in_flight to 1" in result.attempt.text


CODES = st.sampled_from([250, 251, 421, 450, 503, 550, 552])
FAULTS = st.sampled_from([LOST, CLOSED, Fault("surplus", Reply(552, b"too large"))])


@given(st.lists(CODES, max_size=4), FAULTS, st.booleans())
def test_a_message_is_accepted_only_by_its_own_replies(
    codes: list[int], fault: Fault, is_complete: bool
) -> None:
    try:
        result = conclusion(replies(tuple(codes)), fault, is_complete=is_complete)
    except OutOfStepError:
        return
    accepted = classify(result.attempt).verdict is Verdict.ACCEPTED
    assert accepted == (len(codes) >= 3 and all(code < 300 for code in codes[:3]))


@given(st.lists(CODES, max_size=2), FAULTS)
def test_an_incomplete_message_is_never_uncertain(codes: list[int], fault: Fault) -> None:
    try:
        result = conclusion(replies(tuple(codes)), fault, is_complete=False)
    except OutOfStepError:
        return
    assert result.attempt.phase in (MAIL, RCPT, DATA)
    assert classify(result.attempt).verdict is not Verdict.UNCERTAIN
