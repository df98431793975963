"""The campaign's own subject, which a report quotes, does not decide about the address."""

from __future__ import annotations

import base64

import pytest

from mailsluice.bounces import BounceKind, kind_of
from mailsluice.bounces.notice import Reported, Sort
from mailsluice.bounces.quoted_subject import without_subjects
from mailsluice.bounces.reading import read
from mailsluice.bounces.words import topics

HARD, SOFT = BounceKind.HARD, BounceKind.SOFT
DELETED = "Your account will be deleted in 30 days"
SPAM = "Spam filter sale"
EMAIL = "ann@example.org"


def report(words: str, status: str, subject: str = "", returned: str = "message/rfc822") -> bytes:
    """A report without a Diagnostic-Code, as Exchange on premises sends it.

    The mail is returned only if it has a subject here.
    """
    copy = f"--b\nContent-Type: {returned}\n\nTo: {EMAIL}\nSubject: {subject}\n\nHello\n"
    return f"""From: System Administrator <postmaster@example.org>
Subject: Undelivered
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain; charset=utf-8

{words}
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; {EMAIL}
Action: failed
Status: {status}

{copy if subject else ""}--b--
""".encode()


def about(content: bytes) -> Reported:
    reported = read(content).notice.about(EMAIL)
    assert reported
    return reported


def kind(content: bytes) -> BounceKind | None:
    reported = about(content)
    return kind_of(reported.code, reported.status, reported.text)


FIELDS = [
    "Subject: {}",
    "      Subject:\t{}\n      Sent:\t11/27/2026 9:00 AM",
    "SUBJECT : {}",
    "> Subject: {}",
    "**Subject:** {}",
    "[Subject] {}",
    "Subject\t{}",
    "Subject of your message: {}",
    "Message subject line: {}",
    "Your message with subject: {}",
    'Your message with the subject "{}" has come back.',
    "Your message (subject '{}') has come back.",
    "Subject(s): {}",
    "| Subject | {} |",
    "Subject - {}",
    "Subject {}",
    "The subject of the message is: {}",
    "A message whose subject is {} has come back.",
    "Thread-Topic: {}",
    "Regarding: {}",
    "Your message “{}” has come back.",
    'Ihre Nachricht "{}" kam zurück.',
    "Betreffzeile: {}",
    "Betreff: {}",
    "Ihre Nachricht mit dem Betreff „{}“ kam zurück.",
    "Objet : {}",
    "Votre message avec pour objet « {} » est revenu.",
    "Asunto: {}",
    "Oggetto: {}",
    "Onderwerp: {}",
    "Assunto: {}",
    "Temat: {}",
    "Тема: {}",
    "Тема письма: {}",
    "Ämne: {}",
    "Emne: {}",
    "Konu: {}",
    "件名: {}",
    "件名：「{}」",
    "【件名】{}",
    "主题: {}",
    "邮件主题：{}",
    "主旨：{}",
    "제목: {}",
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("subject", "status", "expected"),
    [(DELETED, "5.0.0", None), (SPAM, "5.1.1", HARD), ("Mailbox full of offers", "5.1.1", HARD)],
)
def test_a_quoted_subject_is_no_reason(
    field: str, subject: str, status: str, expected: BounceKind | None
) -> None:
    words = f"Your message did not reach its recipient.\n\n{field.format(subject)}\n"
    assert kind(report(words, status)) is expected


@pytest.mark.parametrize(
    "words",
    [
        "Subject: An important message for you:\n your account will be deleted in 30 days",
        "  Subject:\tAn important message:\n    your account will be deleted\n  Sent:\ttoday",
        'subject "An important message:\nyour account will be deleted in 30 days"',
        'Subject: "Urgent": your account will be deleted',
    ],
)
def test_a_subject_of_several_lines_is_no_reason(words: str) -> None:
    assert kind(report(words, "5.0.0")) is None


def encoded(subject: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(subject.encode()).decode()}?="


@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
@pytest.mark.parametrize("subject", [DELETED, encoded(DELETED), f"Re:\n {DELETED}"])
@pytest.mark.parametrize(
    "words",
    [
        f"Your message {DELETED} has come back.",
        f"Your message\n> {DELETED.upper().replace(' be ', ' be' + chr(10) + '> ')}\nis here.",
        f"<<{DELETED}>>: {DELETED}",
    ],
)
def test_the_subject_of_the_returned_mail_is_left_out(
    words: str, subject: str, returned: str
) -> None:
    words = words if "Re:" not in subject else words.replace("Your account", "Re: Your account")
    words = words if "Re:" not in subject else words.replace("YOUR ACCOUNT", "Re: YOUR ACCOUNT")
    assert kind(report(words, "5.0.0", subject, returned)) is None


def test_the_subject_of_a_mail_without_spaces_is_left_out() -> None:
    subject = "您的邮箱用户不存在"
    assert kind(report(f"您的邮件{subject}无法投递", "5.0.0", subject)) is None
    assert kind(report("您的邮件无法投递：用户不存在", "5.0.0", subject)) is HARD


@pytest.mark.parametrize(
    ("words", "subject", "expected"),
    [
        (f"Subject: {DELETED}\nThe user is unknown.", DELETED, HARD),
        (f"Subject: {DELETED}\n    550 5.1.1 The user is unknown.", DELETED, HARD),
        (f"Reason: the user is unknown. Subject: {DELETED}", DELETED, HARD),
        (f'Your mail with the subject "{SPAM}" came back: unknown user', SPAM, HARD),
        ("The user is unknown.", "Spring", HARD),
        ('The server said "The user is unknown".', "", HARD),
        ("Your message has come back: unknown user", "", HARD),
        # a word of the report is not the subject
        ("The user is unknown.", "User", HARD),
        ("The user is unknown.", "is", HARD),
        ("Your mail is subject to limits: mailbox full", "", SOFT),
        ("The mailbox is full.", "", SOFT),
    ],
)
def test_the_reason_beside_a_subject_counts(words: str, subject: str, expected: BounceKind) -> None:
    assert kind(report(words, "5.0.0", subject)) is expected


def own_words(subject: str, words: str) -> bytes:
    return f"From: MAILER-DAEMON@example.org\nSubject: {subject}\n\n{words}\n".encode()


@pytest.mark.parametrize(
    "content",
    [
        own_words("failure notice", f"It came back.\nSubject: {DELETED}\nReason: refused."),
        own_words(f"Undeliverable: {DELETED}", f"Your message {DELETED} came back."),
        own_words(f"Unzustellbar: {DELETED}", f"Ihre Nachricht {DELETED} kam zurück."),
        own_words(
            "failure notice",
            f"{DELETED} came back.\n--- Below this line is a copy.\n\nTo: a\nSubject: {DELETED}",
        ),
    ],
)
def test_a_mail_systems_own_words_do_not_count_with_the_subject(content: bytes) -> None:
    assert read(content).notice.sort is Sort.UNKNOWN


def test_a_subject_does_not_make_a_failure_a_delay() -> None:
    content = own_words(
        "Undeliverable: A warning: no delay any more",
        "550 5.1.1 user unknown\nSubject: A warning: no delay any more",
    )
    assert about(content).is_final
    assert kind(content) is HARD


def test_a_server_may_quote_the_subject_in_its_reply() -> None:
    assert not topics(f'554 5.7.1 The subject "{DELETED}" is refused')
    assert not topics(f"554 5.7.1 Subject: {DELETED}")


def test_other_lines_stay_as_they_are() -> None:
    words = "To: ann@example.org\n\n  550 subject to checks: no\nSee the subject."
    assert without_subjects(words, ()) == words
