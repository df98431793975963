"""The diagnoses of the replies that providers give."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.operations.verify_connection import Diagnosis
from mailsluice.operations.verify_connection.diagnosing import diagnose

CASES = [
    # Before the login.
    ("connect", 421, "4.7.0 Too many concurrent SMTP connections", Diagnosis.TOO_MANY),
    ("connect", 421, "4.3.2 Service shutting down", Diagnosis.NOT_NOW),
    ("connect", 450, "come back later", Diagnosis.TOO_MANY),
    ("connect", 554, "5.7.1 192.0.2.7 is listed at zen.spamhaus.org", Diagnosis.BLOCKLISTED),
    ("connect", 554, "No SMTP service here", Diagnosis.BLOCKLISTED),
    ("connect", 501, "5.5.4 Invalid domain name", Diagnosis.EHLO_REFUSED),
    ("connect", 550, "Access denied - Invalid HELO name", Diagnosis.EHLO_REFUSED),
    ("tls", 454, "4.7.0 TLS not available", Diagnosis.NO_TLS_FOR_NOW),
    ("tls", 502, "5.5.1 Not implemented", Diagnosis.NO_STARTTLS),
    # The login: SendGrid, Gmail, Microsoft, Amazon SES.
    ("login", 535, "Authentication failed: Bad username / password", Diagnosis.LOGIN_REFUSED),
    ("login", 535, "5.7.8 Username and Password not accepted", Diagnosis.LOGIN_REFUSED),
    ("login", 535, "Authentication Credentials Invalid", Diagnosis.LOGIN_REFUSED),
    ("login", 534, "5.7.9 Application-specific password", Diagnosis.PASSWORD_OF_ITS_OWN),
    ("login", 535, "5.7.139 SmtpClientAuthentication is disabled", Diagnosis.PASSWORD_OF_ITS_OWN),
    ("login", 432, "4.7.12 A password transition is needed", Diagnosis.PASSWORD_TO_CHANGE),
    ("login", 454, "4.7.0 Too many login attempts", Diagnosis.TOO_MANY),
    ("login", 454, "4.3.0 Temporary failure of the directory", Diagnosis.NOT_NOW),
    ("login", 504, "5.5.4 Unrecognized authentication type", Diagnosis.METHOD_UNKNOWN),
    ("login", 538, "5.7.11 Encryption required", Diagnosis.PLAIN_PASSWORD),
    # The sender: SendGrid, Amazon SES, Microsoft, Postmark.
    ("mail", 550, "The from address does not match a verified Sender Identity", "sender"),
    ("mail", 554, "Message rejected: Email address is not verified.", "sender"),
    ("mail", 550, "5.7.60 SMTP; Client does not have permissions to send as this sender", "sender"),
    ("mail", 553, "sorry, not from you", "sender"),
    ("rcpt", 550, "5.7.1 Sender address rejected: Domain not found", "sender"),
    ("body", 554, "Message rejected: Email address is not verified.", "sender"),
    ("body", 550, "5.7.26 unauthenticated mail", "sender"),
    ("body", 550, "5.7.1 Unconfigured Sending Domain", "sender"),
    ("mail", 530, "5.7.0 Authentication required", Diagnosis.LOGIN_NEEDED),
    ("mail", 530, "5.7.0 Must issue a STARTTLS command first", Diagnosis.TLS_NEEDED),
    ("mail", 550, "5.7.1 Authentication Required", Diagnosis.LOGIN_NEEDED),
    ("mail", 552, "5.3.4 Message size exceeds fixed limit", Diagnosis.TOO_BIG),
    ("mail", 553, "5.6.7 non-ASCII addresses not permitted", Diagnosis.ADDRESS_NOT_TAKEN),
    ("mail", 454, "Throttling failure: Maximum sending rate exceeded", Diagnosis.TOO_MANY),
    ("mail", 451, "4.3.0 queue file write error", Diagnosis.NOT_NOW),
    # The recipient.
    ("rcpt", 550, "5.1.1 no such user", Diagnosis.RECIPIENT_REFUSED),
    ("rcpt", 552, "5.2.2 mailbox full", Diagnosis.RECIPIENT_REFUSED),
    ("rcpt", 554, "5.7.1 Relay access denied", Diagnosis.RELAY_DENIED),
    ("rcpt", 550, "5.7.54 Unable to relay recipient in non-accepted domain", "relay"),
    ("rcpt", 554, "5.7.1 Service unavailable; Client host [192.0.2.7] blocked", "blocklist"),
    ("rcpt", 450, "4.7.1 Greylisting in action", Diagnosis.PUT_OFF),
    ("rcpt", 450, "4.1.8 Sender address rejected: Domain not found", Diagnosis.PUT_OFF),
    ("rcpt", 421, "4.7.28 unusual rate of mail", Diagnosis.TOO_MANY),
    # The message.
    ("data", 554, "5.7.1 denied by policy", Diagnosis.MESSAGE_REFUSED),
    ("body", 552, "message too large", Diagnosis.TOO_BIG),
    ("body", 554, "5.6.0 looks like spam", Diagnosis.MESSAGE_REFUSED),
    ("body", 451, "4.7.1 try later", Diagnosis.PUT_OFF),
    ("body", None, "the server closed the link", Diagnosis.NOT_KNOWN),
    ("rcpt", None, "the server closed the link", Diagnosis.LINK_BROKE),
]
SHORT = {
    "sender": Diagnosis.SENDER_NOT_ALLOWED,
    "relay": Diagnosis.RELAY_DENIED,
    "blocklist": Diagnosis.BLOCKLISTED,
}


@pytest.mark.parametrize(("phase", "code", "text", "diagnosis"), CASES)
def test_each_reply_has_its_diagnosis(
    phase: str, code: int | None, text: str, diagnosis: Diagnosis | str
) -> None:
    found = diagnose(Attempt(Phase(phase), code, text))
    assert found is SHORT.get(diagnosis, diagnosis)


@given(
    st.sampled_from(Phase),
    st.none() | st.integers(200, 599),
    st.text(),
    st.booleans(),
    st.none() | st.sampled_from(LocalCause),
)
def test_every_attempt_has_a_diagnosis(
    phase: Phase, code: int | None, text: str, refused_here: bool, cause: LocalCause | None
) -> None:
    diagnosis = diagnose(Attempt(phase, code, text, refused_here, cause))
    assert isinstance(diagnosis, Diagnosis)


@pytest.mark.parametrize("cause", LocalCause)
def test_a_cause_decides_whatever_the_text_is(cause: LocalCause) -> None:
    diagnoses = {
        diagnose(Attempt(Phase.LOGIN, None, text, cause=cause))
        for text in ("", "certificate has expired", "no answer from mail.example", "relay")
    }
    assert len(diagnoses) == 1
    assert diagnoses.isdisjoint({Diagnosis.OTHER, Diagnosis.LINK_BROKE})


def test_silence_after_the_message_leaves_open_whether_it_was_taken() -> None:
    attempt = Attempt(Phase.BODY, None, "no answer in time", cause=LocalCause.NO_REPLY)
    assert diagnose(attempt) is Diagnosis.NOT_KNOWN


@pytest.mark.parametrize("diagnosis", Diagnosis)
def test_every_diagnosis_has_a_next_step(diagnosis: Diagnosis) -> None:
    assert diagnosis.next_step[0].isupper()
    assert diagnosis.next_step.endswith(".")


@pytest.mark.parametrize("diagnosis", Diagnosis)
def test_every_diagnosis_is_in_the_documentation(diagnosis: Diagnosis) -> None:
    page = Path(__file__).parents[2] / "docs" / "set-up-a-provider.md"
    assert f"| {diagnosis} | {diagnosis.next_step} |\n" in page.read_text(encoding="utf-8")
