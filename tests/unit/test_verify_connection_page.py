"""The texts of a connection check: certificate, extensions, page, log."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from mailsluice.operations.verify_connection import (
    ConnectionCheck,
    Diagnosis,
    Result,
    Step,
    StepFinding,
)
from mailsluice.operations.verify_connection.certificate import Certificate
from mailsluice.operations.verify_connection.offered import consequences, keywords
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.connection import Connection

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
UNTIL = datetime(2030, 1, 22, 12, tzinfo=UTC)
AUTHORITY = trustme.CA(organization_name="Let's Encrypt")
ALL = {"pipelining": "", "chunking": "", "8bitmime": "", "dsn": "", "size": "52428800"}


def certificate(*names: str, common_name: str | None = None) -> Certificate:
    begins = datetime(2029, 12, 1, tzinfo=UTC)
    issued = AUTHORITY.issue_cert(
        *names, common_name=common_name, not_before=begins, not_after=UNTIL
    )
    return Certificate.from_der(
        ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    )


def test_a_certificate_in_a_sentence() -> None:
    assert certificate("smtp.example.com", "192.0.2.1").sentence(NOW) == (
        "certificate for smtp.example.com, 192.0.2.1, signed by Let's Encrypt, valid 2029-12-01 to"
        " 2030-01-22 (21 days left)"
    )


def test_an_expired_certificate_in_a_sentence() -> None:
    sentence = certificate("smtp.example.com").sentence(UNTIL + timedelta(days=2, hours=1))
    assert sentence.endswith("valid 2029-12-01 to 2030-01-22 (expired 2 days ago)")


def test_a_certificate_with_many_names_shows_three() -> None:
    many = certificate(*(f"h{number}.example.com" for number in range(5)))
    assert "h0.example.com, h1.example.com, h2.example.com and 2 more, signed" in many.sentence(NOW)


def test_a_certificate_without_names_is_called_by_its_subject() -> None:
    assert certificate(common_name="smtp.example.com").names == ("smtp.example.com",)


@pytest.mark.parametrize(
    ("days", "is_told"),
    [(22, False), (21, False), (20, True), (0, True)],
)
def test_fewer_than_21_days_are_a_warning(days: int, is_told: bool) -> None:
    warning = certificate("h.example").warning(UNTIL - timedelta(days=days))
    assert (warning is not None) is is_told


@pytest.mark.parametrize(
    ("extensions", "methods", "words"),
    [
        (ALL, ["plain"], "PIPELINING, CHUNKING, 8BITMIME, DSN, SIZE 52.4 MB, AUTH PLAIN"),
        ({"size": "0"}, [], "nothing beyond plain SMTP"),  # RFC 1870: 0 is no limit
        ({"size": ""}, [], "nothing beyond plain SMTP"),
        ({"smtputf8": "", "x-secret": ""}, [], "SMTPUTF8"),
    ],
)
def test_a_servers_extensions_in_words(
    extensions: dict[str, str], methods: list[str], words: str
) -> None:
    assert keywords(extensions, methods) == words


@pytest.mark.parametrize(
    ("offer", "in_flight", "words"),
    [
        (Offer(), 5, "four round trips a message"),
        (Offer(chunking=True), 5, "four round trips a message"),
        (Offer(pipelining=True), 5, "one round trip a message."),
        (Offer(pipelining=True, chunking=True), 1, "with messages_in_flight above 1"),
        (Offer(pipelining=True, chunking=True), 5, "up to 5 messages in one round trip"),
    ],
)
def test_the_use_of_a_servers_extensions_in_words(offer: Offer, in_flight: int, words: str) -> None:
    said, *_ = consequences(offer, Connection("x", "h", 25, messages_in_flight=in_flight))
    assert words in said


FINDINGS = (
    StepFinding(Step.NAME, Result.OK, "192.0.2.1", 0.0124),
    StepFinding(Step.TLS, Result.WARNING, "TLSv1.3", 1.26, ("it ends soon",), "TLSv1.3"),
    StepFinding(Step.MAIL, Result.LEFT_OUT, "none sent"),
)


def test_a_connection_that_works_has_a_summary_of_one_sentence() -> None:
    found = ConnectionCheck("sendgrid", "smtp:587, security starttls", FINDINGS)
    assert found.summary() == "sendgrid works: TLSv1.3, 1 warning"
    assert found.lines() == [
        "host name: ok (12 ms): 192.0.2.1",
        "TLS: warning (1.3 s): TLSv1.3",
        "test mail: not asked for: none sent",
        "warning: it ends soon",
    ]
    assert "| TLS | **warning** | 1.3 s | TLSv1.3 |" in found.markdown()
    assert "- it ends soon" in found.markdown()


def test_the_summary_of_a_connection_that_does_not_work_has_the_next_step() -> None:
    failed = StepFinding(Step.LOGIN, Result.FAILED, "535 5.7.8 no | really", 0.1)
    found = ConnectionCheck(
        "sendgrid", "smtp:587, security tls", [failed], diagnosis=Diagnosis.LOGIN_REFUSED
    )
    assert found.summary() == (
        "sendgrid does not work: login refused (535 5.7.8 no | really). Next step: "
        + Diagnosis.LOGIN_REFUSED.next_step
    )
    page = found.markdown()
    assert page.startswith("# sendgrid does not work\n")
    assert f"**Login refused.** {Diagnosis.LOGIN_REFUSED.next_step}" in page
    assert "| login | **failed** | 100 ms | 535 5.7.8 no \\| really |" in page


def test_a_session_beside_a_full_limit_is_reported() -> None:
    found = ConnectionCheck("sendgrid", "smtp:587", FINDINGS, has_slot=False)
    assert "opened one more than max_sessions allows" in found.markdown()
    assert "opened one more than max_sessions allows" in found.lines()[-1]
