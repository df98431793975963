"""The replies to a pipelined MAIL, RCPT and DATA are judged together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.outcome import Phase
from mailsluice.smtp.commands import DOT, RSET
from mailsluice.smtp.link import Fault
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import OutOfStepError
from mailsluice.smtp.transaction import opening

LOST = Fault("the link broke")


@pytest.mark.parametrize(
    ("codes", "phase", "code", "undo"),
    [
        ((250, 550, 554), Phase.RCPT, 550, RSET),
        ((250, 550, 503), Phase.RCPT, 550, RSET),
        ((250, 550, 354), Phase.RCPT, 550, DOT),  # the server waits for a body all the same
        ((550, 503, 503), Phase.MAIL, 550, RSET),
        ((550, 503, 354), Phase.MAIL, 550, DOT),
        ((250, 250, 451), Phase.DATA, 451, RSET),
        # The server is closing.
        ((421,), Phase.MAIL, 421, None),
        ((250, 421), Phase.RCPT, 421, None),
        ((250, 550, 421), Phase.RCPT, 550, None),
        ((250, 421, 503), Phase.RCPT, 421, None),  # it reads on
        # It was closing before it read MAIL.
        ((451,), Phase.MAIL, None, None),
        # The link broke.
        ((), Phase.MAIL, None, None),
        ((250, 250), Phase.DATA, None, None),
        ((250, 550), Phase.RCPT, 550, None),
    ],
)
def test_a_refused_transaction_does_not_open(
    codes: tuple[int, ...], phase: Phase, code: int | None, undo: bytes | None
) -> None:
    refusal = opening([Reply(code, b"text") for code in codes], LOST)
    assert refusal is not None
    assert (refusal.attempt.phase, refusal.attempt.code) == (phase, code)
    assert refusal.undo == undo


@pytest.mark.parametrize(
    "codes",
    [
        (354,),  # to MAIL
        (250, 354),  # to RCPT: a reply is missing
        (250, 354, 250),
        (250, 250, 250),  # no 354 to DATA, so a reply is surplus
        (250, 550, 250),  # a stray 550
        (450, 250, 354),  # a stray 450; the empty message that ends DATA would go to somebody
        (250, 421, 250),  # nothing is granted behind a 421
        (421, 250),
    ],
)
def test_impossible_replies_are_out_of_step(codes: tuple[int, ...]) -> None:
    with pytest.raises(OutOfStepError, match="cannot answer MAIL, RCPT and DATA"):
        opening([Reply(code, b"text") for code in codes], LOST)


def test_a_missing_reply_may_be_any_of_them() -> None:
    """If the 250 to MAIL is lost, the refusal of RCPT looks like a refusal of MAIL."""
    refusal = opening([Reply(550, b"text"), Reply(554, b"text")], Fault("no answer", None, True))
    assert refusal is not None
    assert (refusal.attempt.phase, refusal.attempt.code, refusal.undo) == (Phase.DATA, None, None)


def test_a_granted_transaction_opens() -> None:
    replies = [Reply(250, b""), Reply(251, b"will forward"), Reply(354, b"")]
    assert opening(replies, LOST) is None


CODES = st.sampled_from([250, 251, 354, 421, 450, 503, 550, 554])


@given(st.lists(CODES, max_size=3))
def test_an_empty_message_is_never_sent_to_an_accepted_recipient(codes: list[int]) -> None:
    try:
        refusal = opening([Reply(code, b"") for code in codes], LOST)
    except OutOfStepError:
        return
    if refusal is not None and refusal.undo == DOT:
        assert codes[1] >= 400
