"""What one attempt means for its recipient and for its connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.outcome import (
    ACCEPTED,
    DEFERRED,
    DEFERRED_SLOWER,
    DOWN,
    FAILED,
    SESSION,
    THROTTLED,
    UNCERTAIN,
    Attempt,
    Outcome,
    Phase,
    Trouble,
    Verdict,
    classify,
    enhanced_status,
)

CASES = [
    # Opening the session: never the recipient's.
    ("connect", None, "connection refused", SESSION),
    ("connect", 421, "Too many concurrent connections", THROTTLED),
    ("connect", 421, "4.3.2 shutting down", SESSION),
    ("connect", 554, "5.7.1 blocked using a list", DOWN),
    ("tls", None, "connection lost", SESSION),
    ("tls", 454, "4.7.0 TLS not available for now", SESSION),
    ("tls", 502, "not here", DOWN),
    ("login", None, "timed out", SESSION),
    ("login", 454, "4.7.0 Too many login attempts", THROTTLED),
    ("login", 432, "4.7.12 A password transition is needed", DOWN),
    ("login", 432, "4.3.2 Concurrent connections limit exceeded", THROTTLED),  # Microsoft 365
    ("login", 535, "5.7.8 Username and Password not accepted", DOWN),
    ("login", 534, "5.7.9 mechanism is too weak", DOWN),
    # MAIL: the sender is the same for all.
    ("mail", None, "link lost", SESSION),
    ("mail", 421, "4.4.2 idle for too long", SESSION),
    ("mail", 421, "4.7.0 Too many messages, slow down", THROTTLED),
    ("mail", 451, "4.3.0 queue file write error", THROTTLED),
    ("mail", 450, "4.7.1 rate limited", THROTTLED),
    ("mail", 454, "Throttling failure: Maximum sending rate exceeded", THROTTLED),
    ("mail", 503, "5.5.1 nested MAIL command", SESSION),
    ("mail", 530, "5.7.0 Authentication required", DOWN),
    ("mail", 550, "5.1.8 sender's domain does not exist", DOWN),
    ("mail", 550, "5.7.60 client has no permission to send as this sender", DOWN),
    ("mail", 553, "sorry", DOWN),
    ("mail", 552, "message too large", FAILED),
    ("mail", 554, "5.3.4 message too big", FAILED),
    ("mail", 553, "5.6.7 non-ASCII addresses not permitted", FAILED),
    # RCPT: the recipient's, if it is not clearly something else.
    ("rcpt", None, "link lost", SESSION),
    ("rcpt", 550, "5.1.1 no such user", FAILED),
    ("rcpt", 550, "no such user", FAILED),
    ("rcpt", 550, "#5.1.0 Address rejected.", FAILED),
    ("rcpt", 554, "5.7.1 recipient does not take this mail", FAILED),
    ("rcpt", 552, "5.2.2 mailbox full", FAILED),
    ("rcpt", 450, "4.2.1 mailbox busy", DEFERRED),
    ("rcpt", 451, "4.7.1 try later", DEFERRED_SLOWER),
    ("rcpt", 452, "4.3.1 insufficient system storage", DEFERRED_SLOWER),
    ("rcpt", 454, "Throttling failure", THROTTLED),
    ("rcpt", 421, "closing", THROTTLED),
    ("rcpt", 530, "authenticate first", DOWN),
    ("rcpt", 503, "need MAIL before RCPT", SESSION),
    ("rcpt", 554, "5.7.1 <a@b.example>: Relay access denied", DOWN),
    # the mailbox has sent all it may in a day: Gmail, Microsoft 365
    ("data", 550, "5.4.5 Daily user sending limit exceeded", DOWN),
    ("body", 554, "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", DOWN),
    ("rcpt", 550, "5.7.54 SMTP; Unable to relay recipient", DOWN),
    ("rcpt", 553, "5.7.1 <s@b.example>: Sender address rejected: not owned by user", DOWN),
    ("rcpt", 554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using x", DOWN),
    ("rcpt", 354, "go ahead", SESSION),  # cannot be there: out of step
    # DATA: the server has no message yet.
    ("data", None, "link lost in the middle of the body", SESSION),
    ("data", 451, "4.3.0 try later", DEFERRED),
    ("data", 554, "5.6.0 no", FAILED),
    ("data", 421, "4.3.2 shutting down", SESSION),
    ("data", 250, "ok", SESSION),  # cannot be there: out of step
    # The final dot is out.
    ("body", 250, "2.0.0 queued as 1", ACCEPTED),
    ("body", 252, "taken", ACCEPTED),
    ("body", None, "link lost", UNCERTAIN),
    ("body", None, "malformed reply", UNCERTAIN),
    ("body", 354, "again?", UNCERTAIN),
    ("body", 451, "4.3.0 try later", DEFERRED),
    ("body", 452, "4.7.1 too much mail", DEFERRED_SLOWER),
    ("body", 454, "Throttling failure: Daily message quota exceeded", THROTTLED),
    ("body", 421, "4.3.2 shutting down", SESSION),  # a 4yz reply: not accepted
    ("body", 421, "try later", THROTTLED),
    ("body", 554, "5.7.1 spam", FAILED),
    ("body", 552, "5.3.4 too big", FAILED),
    ("body", 550, "5.7.60 SendAsDenied", DOWN),
    ("body", 550, "The from address does not match a verified Sender Identity.", DOWN),
    ("body", 554, "Message rejected: Email address is not verified.", DOWN),
    ("body", 550, "5.7.26 unauthenticated sender", DOWN),
]


@pytest.mark.parametrize(("phase", "code", "text", "expected"), CASES)
def test_a_reply_decides(phase: str, code: int | None, text: str, expected: Outcome) -> None:
    assert classify(Attempt(Phase(phase), code, text)) == expected


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.TLS, Phase.LOGIN])
def test_what_cannot_work_as_it_is_set_up_takes_the_connection_down(phase: Phase) -> None:
    assert classify(Attempt(phase, None, "certificate verify failed", refused_here=True)) == DOWN


def test_what_the_server_cannot_take_fails_its_recipient() -> None:
    attempt = Attempt(Phase.MAIL, None, "larger than the server's SIZE", refused_here=True)
    assert classify(attempt) == FAILED


ATTEMPTS = st.builds(
    Attempt,
    st.sampled_from(Phase),
    st.none() | st.integers(200, 599),
    st.text(max_size=30) | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    refused_here=st.just(False),
)


@given(ATTEMPTS)
def test_every_attempt_has_an_outcome_and_only_2xx_after_the_dot_accepts(attempt: Attempt) -> None:
    accepted = attempt.phase is Phase.BODY and (attempt.code or 0) // 100 == 2
    assert (classify(attempt).verdict is Verdict.ACCEPTED) == accepted


@given(ATTEMPTS)
def test_before_the_dot_nothing_is_uncertain(attempt: Attempt) -> None:
    if classify(attempt).verdict is Verdict.UNCERTAIN:
        assert attempt.phase is Phase.BODY


@given(ATTEMPTS)
def test_an_untouched_recipient_has_a_connection_in_trouble(attempt: Attempt) -> None:
    outcome = classify(attempt)
    if outcome.verdict is Verdict.UNTOUCHED:
        assert outcome.trouble is not Trouble.NONE


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (550, "5.1.1 no", "1.1"),
        (550, "5.1.1\n5.1.1 no", "1.1"),
        (550, "no 5.1.1", ""),
        (550, "4.1.1 no", ""),  # contradicts the code
        (550, "5.1.1234 no", ""),
        (None, "5.1.1", ""),
    ],
)
def test_the_enhanced_status_is_read_from_the_start(
    code: int | None, text: str, expected: str
) -> None:
    assert enhanced_status(Attempt(Phase.RCPT, code, text)) == expected
