"""The meaning of an attempt for its recipient and for its connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.outcome import (
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
    ("body", 452, "4.7.1 try later", DEFERRED_SLOWER),
    ("body", 452, "4.7.1 too much mail", THROTTLED),
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


# Replies as providers and servers write them; each is the same for everybody.
ABOUT_THE_CONNECTION = [
    (550, "Daily limit has been exceeded"),  # cPanel hosting
    (550, "Daily limit has been exceeded for news@example.com"),
    (550, "Stop, you are sending too fast!"),
    (553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),  # qmail
    (550, "relay not permitted"),  # Exim
    (550, "5.7.1 Unable to relay"),  # Exchange
    (554, "5.2.2 mailbox full; STOREDRV.Submission.Exception:OverQuota"),
    (550, "5.7.705 Access denied, tenant has exceeded threshold"),  # Microsoft 365
    (550, "5.7.708 Access denied, traffic not accepted from this IP"),
    (550, "5.7.750 Service unavailable. Client blocked from sending from unregistered domains"),
    (
        550,
        "5.1.90 Your message can't be sent because you've reached your daily limit for recipients",
    ),
    (550, "5.7.233 Your message can't be sent because your tenant exceeded its daily limit"),
    (554, "Transaction failed: Sending paused for this account. For more information"),  # SES
    (550, "5.7.1 Daily SMTP relay limit exceeded for user"),  # Google Workspace
    (550, "5.7.1 Daily SMTP relay sending limit exceeded"),
    (550, "5.4.5 Daily user sending limit exceeded"),  # Gmail
    (550, "Domain example.com has exceeded the max defers and failures per hour (5/5 (100%))"),
    (550, "Domain example.com has exceeded the max emails per hour (100/100) allowed"),  # cPanel
    (554, "5.7.1 <a@b.example>: Recipient address rejected: You have exceeded your quota"),
    (550, "User news@example.com has exceeded its 24-hour sending limit"),  # GoDaddy
    (554, "5.7.1 <DATA>: Data command rejected: only 10 messages per day"),
    (554, "sorry, too many emails (#5.7.1)"),  # OVH
    (553, "5.7.1 SASL login name rejected: You are sending too many emails too fast."),  # Mailu
    (550, "Message count quota exceeded"),
    (550, "5.4.6 Unusual sending activity detected. Please try after sometime."),  # Zoho
    (550, "This account is not allowed to send"),
    (550, "Your account has been suspended"),
    (550, "authentication required"),  # Exim
]


@pytest.mark.parametrize(("code", "text"), ABOUT_THE_CONNECTION)
def test_replies_about_the_connection_leave_the_recipient_untouched(code: int, text: str) -> None:
    for phase in (Phase.RCPT, Phase.DATA, Phase.BODY):
        assert classify(Attempt(phase, code, text)) == DOWN


ABOUT_THE_RECIPIENT = [
    (550, "5.1.1 The email account that you tried to reach does not exist"),
    (552, "5.2.2 The email account that you tried to reach is over quota"),
    (552, "Quota exceeded"),  # the code's own meaning
    (554, "5.2.2 user quota exceeded"),
    (550, "Mailbox quota exceeded"),
    (550, "Invalid recipient"),
    (550, "5.2.1 This mailbox is disabled"),
    (550, "5.1.1 account disabled"),
    (550, "user suspended"),
    (552, "5.3.4 Message size exceeds fixed limit"),
    (554, "5.3.4 message header size exceeds limit"),
    (550, "5.7.703 Your message can't be delivered, blocked by the Tenant Allow Block List"),
    (550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents"),
]


@pytest.mark.parametrize(("code", "text"), ABOUT_THE_RECIPIENT)
def test_replies_about_the_recipient_fail_the_recipient(code: int, text: str) -> None:
    assert classify(Attempt(Phase.RCPT, code, text)) == FAILED


LESS_MAIL = [
    (450, "Too many requests"),
    (450, "Mail send limit exceeded\nfor your account"),
    (451, "You have exceeded your messaging limits"),
    (451, '4.7.1 Ratelimit "user" exceeded'),  # Rspamd
    (450, "too frequent connects from 192.0.2.1, please try again later."),
    (451, "Authentication failed: Maximum credits exceeded"),  # SendGrid
    (450, "4.2.1 Peak SMTP relay limit exceeded for customer"),  # Google Workspace
    (452, "4.5.3 Too many recipients"),  # of the session, since each message has one recipient
    (451, "4.4.5 Mail system congestion"),
    (454, "4.7.0 Too many messages"),
]


@pytest.mark.parametrize(("code", "text"), LESS_MAIL)
def test_a_rate_limit_slows_the_connection_and_uses_no_attempt(code: int, text: str) -> None:
    for phase in (Phase.MAIL, Phase.RCPT, Phase.BODY):
        assert classify(Attempt(phase, code, text)) == THROTTLED


LATER_FOR_THIS_ONE = [
    (450, "4.2.1 The user you are trying to contact is receiving mail too quickly"),
    (450, "4.2.1 The user you are trying to contact is receiving mail at a rate that prevents"),
    (432, "4.3.2 STOREDRV.Deliver; recipient thread limit exceeded"),
    (452, "4.2.2 The email account that you tried to reach is over quota"),
    (450, "4.7.1 <a@b.example>: Recipient address rejected: Greylisted for 5 minutes"),
    (451, "4.7.1 Greylisting in action, please come back later"),
    (451, "greylisted, rate limited for new senders"),
]


@pytest.mark.parametrize(("code", "text"), LATER_FOR_THIS_ONE)
def test_a_recipients_limit_or_greylist_does_not_slow_the_connection(code: int, text: str) -> None:
    assert classify(Attempt(Phase.RCPT, code, text)) == DEFERRED


SERVICE_CLOSES = [
    ("4.3.2 The maximum number of concurrent server connections has exceeded a limit", THROTTLED),
    ("4.4.2 Message submission rate for this client has exceeded the configured limit", THROTTLED),
    ("4.4.5 Server busy, try again later", THROTTLED),
    ("4.4.5 Service unavailable, concurrency limit reached", THROTTLED),
    ("4.7.0 Too many concurrent connections", THROTTLED),
    ("4.4.2 Connection timed out", SESSION),
    ("4.4.2 idle time limit exceeded", SESSION),
    ("4.3.2 Service shutting down", SESSION),
    ("4.3.0 the system goes down for maintenance", SESSION),
]


@pytest.mark.parametrize(("text", "expected"), SERVICE_CLOSES)
def test_a_421_for_too_much_mail_differs_from_a_421_for_leaving(
    text: str, expected: Outcome
) -> None:
    assert classify(Attempt(Phase.CONNECT, 421, text)) == expected
    assert classify(Attempt(Phase.MAIL, 421, text)) == expected


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.TLS, Phase.LOGIN])
def test_a_setup_that_cannot_work_takes_the_connection_down(phase: Phase) -> None:
    assert classify(Attempt(phase, None, "certificate verify failed", refused_here=True)) == DOWN


def test_a_message_that_the_server_cannot_take_fails_its_recipient() -> None:
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
        (550, "no 5.1.1", "1.1"),
        (553, "sorry, not in my list of allowed rcpthosts (#5.7.1)", "7.1"),
        (550, "host 10.5.1.1 says no", ""),  # part of an IP address
        (550, "5.1.1.7 says no", ""),
        (550, "mx5.1.1 says no", ""),
        (550, "4.2.1 first, 5.7.1 then", "7.1"),
        (550, "4.1.1 no", ""),  # contradicts the code
        (550, "5.1.1234 no", ""),
        (None, "5.1.1", ""),
    ],
)
def test_the_enhanced_status_is_found_anywhere_in_the_text(
    code: int | None, text: str, expected: str
) -> None:
    assert enhanced_status(Attempt(Phase.RCPT, code, text)) == expected
