"""Returned mail is read in the formats of its senders."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.bounces import BounceKind, kind_of
from mailsluice.bounces.notice import Notice, Reported, Sort
from mailsluice.bounces.reading import ReturnedMail, read
from mailsluice.message.unsubscribing import UnsubscribeToken
from tests import returned_mail as mails
from tests.returned_mail import FORMATS, Sent

SENT = Sent(return_path="bounces+12=00112233aabb@example.com")


def about(content: bytes) -> Reported:
    notice = read(content).notice
    assert notice.sort is Sort.RETURNED
    reported = notice.about(SENT.recipient)
    assert reported is not None
    return reported


@pytest.mark.parametrize(
    ("write", "status", "code", "kind"),
    [
        (mails.report, "5.1.1", 550, BounceKind.HARD),
        (mails.exchange, "5.1.10", 550, BounceKind.HARD),
        (mails.gmail, "5.2.2", 552, BounceKind.SOFT),  # its own status is 5.0.0
        (mails.exim, "5.1.1", 550, BounceKind.HARD),
        (mails.qmail, "5.1.1", 550, BounceKind.HARD),
        (mails.yahoo, "", None, BounceKind.HARD),
        (mails.ses, "5.1.1", 550, BounceKind.HARD),
    ],
)
def test_each_format_names_the_recipient_and_the_reason(
    write: Callable[[Sent], bytes], status: str, code: int | None, kind: BounceKind
) -> None:
    reported = about(write(SENT))
    assert (reported.addresses[0], reported.is_final) == (SENT.recipient, True)
    assert (reported.status, reported.code) == (status, code)
    assert kind_of(reported.code, reported.status, reported.text) is kind


@pytest.mark.parametrize(
    ("write", "status", "code", "kind"),
    [
        (mails.opensmtpd, "5.1.1", 550, BounceKind.HARD),
        (mails.notes, "", None, BounceKind.HARD),
    ],
)
def test_free_text_is_about_the_recipient_that_the_mail_proves(
    write: Callable[[Sent], bytes], status: str, code: int | None, kind: BounceKind
) -> None:
    reported = about(write(SENT))
    assert (reported.status, reported.code, reported.is_final) == (status, code, True)
    assert kind_of(reported.code, reported.status, reported.text) is kind


def test_words_about_several_recipients_are_separated() -> None:
    content = mails.qmail(SENT).replace(
        b"\r\n--- Below this line",
        b"\r\n<ann@example.org>:\r\nRemote host said: 552 5.2.2 over quota\r\n"
        b"\r\n--- Below this line",
    )
    notice = read(content).notice
    statuses = {name: said.status for said in notice.reported for name in said.addresses}
    assert statuses == {SENT.recipient: "5.1.1", "ann@example.org": "5.2.2"}


@pytest.mark.parametrize(
    "words",
    [
        b"Subject: Delivery delayed\r\n\r\n450 4.4.1 no answer",
        b"Subject: Warning\r\n\r\nThe user is unknown for now. We will keep trying for 3 days.",
        b"Subject: Undelivered\r\n\r\nThis is a warning: the mail is late.",
    ],
)
def test_words_about_delayed_mail_are_not_final(words: bytes) -> None:
    notice = read(b"From: MAILER-DAEMON@example.net\r\n" + words).notice
    assert [statement.is_final for statement in notice.reported] == [False]


@pytest.mark.parametrize("enveloped", [False, True])
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, BounceKind.HARD),
        ({"diagnostic": "smtp; 550 5.7.1 blocked"}, None),
        ({"diagnostic": "smtp; 552 5.2.2 over quota"}, BounceKind.SOFT),
        ({"diagnostic": ""}, BounceKind.HARD),  # the reporter's status alone
        ({"lasts": "Transient", "status": "5.2.2", "diagnostic": "full"}, BounceKind.SOFT),
        # what SES calls transient is never for good
        ({"lasts": "Transient"}, BounceKind.SOFT),
    ],
)
def test_bounces_in_notifications_of_ses_are_read(
    fields: dict[str, Any], kind: BounceKind | None, enveloped: bool
) -> None:
    content = mails.ses(SENT, enveloped=enveloped, **fields)
    reported = about(content)
    assert reported.addresses == (SENT.recipient,)
    assert kind_of(reported.code, reported.status, reported.text) is kind
    assert [token.recipient_id for token in read(content).traces.tokens] == [12]


def test_automatic_replies_in_notifications_of_ses_are_no_bounces() -> None:
    """SES calls these transient and general, and has no delivery report to copy fields from."""
    replied = mails.ses(SENT, lasts="Transient", has_report=False)
    assert read(replied).notice.sort is Sort.AUTO_REPLY
    for content in (
        mails.ses(SENT, lasts="Transient", subtype="MailboxFull", has_report=False),
        mails.ses(SENT, has_report=False),
    ):
        assert read(content).notice.about(SENT.recipient)


@pytest.mark.parametrize(
    "subtype", ["UnsubscribedRecipient", "OnAccountSuppressionList", "EmailValidationSuppressed"]
)
def test_mail_that_ses_has_not_sent_is_no_bounce(subtype: str) -> None:
    assert read(mails.ses(SENT, subtype=subtype)).notice == Notice(Sort.RETURNED)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"notificationType":"Bounce"',
        b'{"notificationType":"Bounce"}',
        b'{"notificationType":"Bounce","bounce":7}',
        b'{"notificationType":"Bounce","bounce":{"bouncedRecipients":[7,{"emailAddress":[]}]}}',
        b'{"notificationType":"Delivery","delivery":{}}',
        b'{"notificationType":["Bounce"]}',
        b'{"Type":"Notification","Message":"no JSON"}',
        b'{"notificationType":' + b"[" * 100_000,
        b'{"notificationType":' + b"9" * 100_000,
    ],
)
def test_no_notification_raises(body: bytes) -> None:
    storable(read(b"From: a@example.org\r\nContent-Type: text/plain\r\n\r\n" + body))


@pytest.mark.parametrize("write", [*FORMATS.values(), *mails.COMPLAINTS.values(), mails.delayed])
def test_all_formats_carry_traces_of_our_mail(write: Callable[[Sent], bytes]) -> None:
    traces = read(write(SENT)).traces
    assert [(token.recipient_id, token.mac) for token in traces.tokens] == [(12, "00112233aabb")]
    assert SENT.message_id in traces.message_ids
    assert SENT.recipient in traces.addresses


@pytest.mark.parametrize(
    ("fields", "is_final", "status"),
    [
        ({"action": "delayed", "status": "4.4.1"}, False, "4.4.1"),
        ({"action": "relayed", "status": "2.0.0"}, False, "2.0.0"),
        ({"action": "delivered", "status": "2.1.5"}, False, "2.1.5"),
        # given up after days
        ({"action": "failed", "status": "4.4.7", "diagnostic": "smtp; expired"}, True, "4.4.7"),
        # an action that is missing follows from the status
        ({"action": "", "status": "5.1.1"}, True, "5.1.1"),
        ({"action": "", "status": "4.2.2", "diagnostic": ""}, False, "4.2.2"),
        # with a comment, and in capitals
        ({"action": "FAILED", "status": "5.1.1 (bad mailbox)"}, True, "5.1.1"),
        # the status of the refusing server counts before that of the reporting one
        ({"status": "4.0.0", "diagnostic": "smtp; 550 5.1.1 no"}, True, "5.1.1"),
        ({"status": "5.1.1", "diagnostic": "smtp; 550 5.7.1 blocked"}, True, "5.7.1"),
        ({"status": "5.1.1", "diagnostic": "smtp; 552 5.2.2 over quota"}, True, "5.2.2"),
        ({"status": "5.1.1", "diagnostic": "smtp; 452 full"}, True, ""),
        ({"status": "5.1.1", "diagnostic": "smtp; 550 no"}, True, "5.1.1"),
        ({"status": "5.1.1", "diagnostic": "smtp; 550 5.0.0 no"}, True, "5.1.1"),
        ({"kind": "message/global-delivery-status"}, True, "5.1.1"),
    ],
)
def test_fields_of_a_report_decide(fields: dict[str, Any], is_final: bool, status: str) -> None:
    reported = about(mails.report(SENT, **fields))
    assert (reported.is_final, reported.status) == (is_final, status)


@pytest.mark.parametrize(
    ("status", "diagnostic", "kind"),
    [
        ("5.1.1", "smtp; 550 5.7.1 blocked", None),
        ("5.1.1", "smtp; 552 5.2.2 over quota", BounceKind.SOFT),
        ("5.1.1", "smtp; 452 4.2.2 over quota", BounceKind.SOFT),
        ("5.1.1", "smtp; 550 blocked using zen.spamhaus.org", None),
        ("5.1.1", "smtp; 550 rejected", BounceKind.HARD),  # sendmail says 5.1.1 of a bare 550
        ("5.0.0", "smtp; 550 rejected", None),
        ("5.0.0", "smtp; unknown user", BounceKind.HARD),
        ("5.0.0", 'X-Postfix; unknown user: "joe"', BounceKind.HARD),
        ("5.0.0", "smtp; 550 Unknown user joe@example.org", BounceKind.HARD),
        ("4.4.7", "smtp; 550 5.1.1 no such user", BounceKind.HARD),
        ("5.1.0", "smtp; 5.1.0 - Unknown address error 550-'5.7.1 Access denied'", None),  # SES
        (
            "5.1.351",
            "smtp;550 5.1.351 Remote server returned unknown recipient or mailbox unavailable"
            " -> 550 5.7.1 Service unavailable, client host is blocked",
            None,
        ),
        (
            "5.1.351",
            "smtp;550 5.1.351 Remote server returned unknown recipient or mailbox unavailable"
            " -> 550 <joe@example.org>: User unknown",
            BounceKind.HARD,
        ),
        # postfix verified the address, and was told something else
        (
            "5.1.1",
            "smtp; 550 5.1.1 <joe@example.org>: Recipient address rejected: undeliverable address:"
            " host mx.example.org[192.0.2.1] said: 550 5.7.1 rejected due to poor reputation",
            None,
        ),
    ],
)
def test_the_reply_of_the_server_that_refused_comes_first(
    status: str, diagnostic: str, kind: BounceKind | None
) -> None:
    reported = about(mails.report(SENT, status=status, diagnostic=diagnostic))
    assert kind_of(reported.code, reported.status, reported.text) is kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (b"unknown user: joe", BounceKind.HARD),
        (b"Unrouteable address", BounceKind.HARD),
        (b"** Address not found **", BounceKind.HARD),
        (b"The mailbox of joe@example.org is full.", BounceKind.SOFT),
        (b"Your mail was taken for spam.", None),
        (b"It did not work.", None),
    ],
)
def test_a_report_without_a_reason_has_the_reason_of_its_text(
    words: bytes, kind: BounceKind | None
) -> None:
    content = mails.report(SENT, status="5.0.0", diagnostic="")
    reported = about(content.replace(b"Your mail could not be brought to its reader.", words))
    assert kind_of(reported.code, reported.status, reported.text) is kind


def test_a_report_about_several_recipients_is_read_recipient_by_recipient() -> None:
    content = mails.report(SENT, status="5.1.1").replace(
        b"\r\n--=_report\r\nContent-Type: text/rfc822-headers",
        b"\r\nFinal-Recipient: rfc822; ann@example.org\r\nOriginal-Recipient: rfc822;"
        b"team@example.org\r\nAction: delayed\r\nStatus: 4.2.2\r\n"
        b"\r\n--=_report\r\nContent-Type: text/rfc822-headers",
    )
    notice = read(content).notice
    assert [statement.status for statement in notice.reported] == ["5.1.1", "4.2.2"]
    for email in ("Ann@example.org", "team@example.org"):
        reported = notice.about(email)
        assert reported
        assert (reported.status, reported.is_final) == ("4.2.2", False)
    passed_on = notice.about("somebody.else@example.org")
    assert passed_on
    assert passed_on.status == "5.1.1"


def test_an_encoded_report_is_read_although_rfc_3464_forbids_it() -> None:
    plain = mails.report(SENT)
    begin = plain.index(b"Reporting-MTA")
    end = plain.index(b"\r\n--=_report\r\nContent-Type: text/rfc822")
    encoded = base64.encodebytes(plain[begin:end])
    content = plain[: begin - 2] + b"Content-Transfer-Encoding: base64\r\n\r\n" + encoded
    assert about(content + plain[end:]).status == "5.1.1"


def test_traces_in_an_encoded_part_are_found() -> None:
    inner = base64.encodebytes(SENT.header.encode()).decode()
    content = mails.report(Sent()).replace(
        Sent().header.replace("\n", "\r\n").encode(), b"X-Nothing: here\r\n"
    )
    content = content.replace(
        b"\r\n--=_report\r\nContent-Type: text/rfc822-headers\r\n",
        b"\r\n--=_report\r\nContent-Type: text/rfc822-headers\r\n"
        b"Content-Transfer-Encoding: base64\r\n",
    ).replace(b"X-Nothing: here\r\n", inner.encode())
    assert read(content).traces.message_ids == (SENT.message_id,)


@pytest.mark.parametrize("kind", ["abuse", "fraud", "virus", "other"])
def test_a_feedback_report_is_a_complaint(kind: str) -> None:
    notice = read(mails.complaint(SENT, kind)).notice
    assert notice.sort is Sort.COMPLAINT
    assert notice.reported[0].addresses == (SENT.recipient,)


@pytest.mark.parametrize("write", mails.COMPLAINTS.values())
def test_a_complaint_names_the_recipient(write: Callable[[Sent], bytes]) -> None:
    notice = read(write(SENT)).notice
    assert notice.sort is Sort.COMPLAINT
    assert notice.reported[0].addresses == (SENT.recipient,)


def test_not_spam_is_no_complaint_to_ses() -> None:
    assert read(mails.ses_complaint(SENT, "not-spam")).notice == Notice(Sort.RETURNED)


def test_a_sender_whose_name_is_the_address_is_known() -> None:
    """Python's own parser refuses such fields in its latest versions."""
    returned = b"From: MAILER-DAEMON@mx.example <MAILER-DAEMON@mx.example>\r\n\r\nUser unknown"
    assert read(returned).notice.sort is Sort.RETURNED


@pytest.mark.parametrize(
    "sender",
    [
        b"staff@hotmail.com <staff@hotmail.com>",
        b"<Staff@hotmail.com> (Junk Mail Reporting)",
        b"staff@hotmail.com (Junk Mail Reporting)",
        b"<staff@hotmail.com> (4 < 5)",
        b"<staff@hotmail.com> (Junk (Mail) Reporting)",
        b"staff@hotmail.com (a) (b)",
        b"<staff@hotmail.com> (" + b"x" * 600 + b")",
        b"<staff@hotmail.com>;",
        b"Reporting [junk] <staff@hotmail.com>",
    ],
)
def test_complaints_of_outlook_are_known_by_their_sender(sender: bytes) -> None:
    complained = mails.outlook_complaint(SENT).replace(b"complaint about", b"see the")
    assert read(complained.replace(b"staff@hotmail.com", sender)).notice.sort is Sort.COMPLAINT


@pytest.mark.parametrize(
    "sender",
    [
        b"joe@example.org",
        b"Joe <joe@example.org> (was <staff@hotmail.com>)",
        b'"<staff@hotmail.com>" <joe@example.org>',
        b'"<staff@hotmail.com>" joe@example.org',
        b"<staff@hotmail.com>.example.org",
        b"joe@example.org; staff@hotmail.com",
        b"Joe <joe@example.org>, <staff@hotmail.com>",
        b"(" * 2_000,
        b",\xc3\xa9@[",  # which parsers of later Pythons fail at
    ],
)
def test_a_mail_forwarded_by_somebody_else_is_no_complaint(sender: bytes) -> None:
    content = mails.outlook_complaint(SENT).replace(b"staff@hotmail.com", sender)
    assert read(content.replace(b"complaint about", b"see the")).notice.sort is Sort.UNKNOWN


def test_a_complaint_names_the_recipient_without_the_name() -> None:
    """Where Outlook leaves its own field out."""
    named = b"To: Ann B. <" + SENT.recipient.encode() + b">"
    own = b"X-HmXmrOriginalRecipient: " + SENT.recipient.encode()
    content = mails.outlook_complaint(SENT)
    assert own in content
    (reported,) = read(content.replace(own, named)).notice.reported
    assert reported.addresses == (SENT.recipient,)
    several = named + b", Bob <bob@example.org>"
    (reported,) = read(content.replace(own, several)).notice.reported
    assert reported.addresses == ("",)


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", ""])
def test_other_feedback_is_no_complaint(kind: str) -> None:
    assert read(mails.complaint(SENT, kind)).notice == Notice(Sort.RETURNED)


def test_an_auto_reply_is_no_bounce_whatever_its_words() -> None:
    assert read(mails.out_of_office(SENT)).notice.sort is Sort.AUTO_REPLY


AUTOMATIC = "Auto-Submitted: auto-replied"


def automatic(words: str, sender: str = "postmaster@example.org", field: str = AUTOMATIC) -> bytes:
    return f"From: {sender}\n{field}\n\n{words}\n".encode()


@pytest.mark.parametrize(
    "field",
    [
        AUTOMATIC,
        "Auto-Submitted: auto-generated",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "Subject: Automatic reply: Spring",
        "Subject: Out of Office: Spring",
        "Subject: =?utf-8?q?Abwesenheitsnotiz?=",
        "Subject: Réponse automatique : Printemps",
        "Subject: 自動応答",
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        "I am out of the office.",
        "I am on holiday. My account manager is unavailable, write to info@example.org.",
        "We have moved. The address Elm Street 5 is no longer valid.",
        "Unsere Adresse Hauptstraße 5 ist ungültig.",
        "Ich bin bis 5.1.26 nicht da.\nDas Postfach ist voll.",
        "My account manager is unavailable.\nRoom 404, telephone 550 1234.",
        "Our new address:\n550 Elm Street\nThe old address is no longer valid.",
        "550 Elm Street is our address. The old address is no longer valid.",
        "L'adresse rue Haute 5 est invalide.",
        "Our old user names are disabled, unknown users have to register.",
    ],
)
def test_an_automatic_reply_of_a_postmaster_is_no_bounce(words: str, field: str) -> None:
    assert read(automatic(words, field=field)).notice.sort is Sort.AUTO_REPLY


@pytest.mark.parametrize(
    "words",
    [
        "The address info@example.org is no longer valid.",
        "Die Adresse info@example.org ist ungültig, bitte an office@example.org.",
        "Thank you for writing to {}. My account manager is unavailable.\nSee bob@example.org: "
        "this address is invalid.",
        "Our address Elm Street 5 is no longer valid\n\nKind regards\n{}",
        "My account is disabled until Monday, write to {}.",
    ],
)
def test_an_automatic_reply_about_another_address_is_no_bounce(words: str) -> None:
    content = automatic(words.format(SENT.recipient), "Postmaster <postmaster@example.org>")
    assert read(content).notice.about(SENT.recipient) is None


@pytest.mark.parametrize(
    ("words", "sender"),
    [
        ("The address {} is no longer valid.", "postmaster@example.org"),
        ("The address\n{}\nis no longer valid.", "postmaster@example.org"),
        ("550 5.1.1 User unknown", "postmaster@example.org"),
        ("550 User unknown", "postmaster@example.org"),
        ("It failed: user unknown (#5.1.1)", "postmaster@example.org"),
        ("Delivery has failed. The host said: 550 No such user", "postmaster@example.org"),
        ("Could not be reached:\n\n{}\n\nReason: unknown user.", "postmaster@example.org"),
        ("Nicht zugestellt:\n\n{}\n\nEmpfänger unbekannt", "Postmaster <a@example.org>"),
        ("It failed.\n{}\n\nThe user is unknown.", "MAILER-DAEMON@example.org"),
        ("550 User unknown", "MAILER-DAEMON@example.org"),
        ("host mx said: 550 User unknown", "MAILER-DAEMON@example.org"),
    ],
)
def test_an_automatic_reply_with_proof_is_a_bounce(words: str, sender: str) -> None:
    reported = about(automatic(words.format(SENT.recipient), sender))
    assert reported.is_final
    assert kind_of(reported.code, reported.status, reported.text) is BounceKind.HARD


def test_an_automatic_reply_of_a_daemon_without_proof_is_unknown() -> None:
    """The mail is flagged, since a daemon is no reader who is away."""
    content = automatic("The user is unknown.", "MAILER-DAEMON@example.org")
    assert read(content).notice.sort is Sort.UNKNOWN


def test_a_receipt_is_no_bounce_whatever_its_words() -> None:
    content = mails.report(SENT, kind="message/disposition-notification")
    content = content.replace(b"could not be brought to its reader", b"met an invalid mailbox")
    assert read(content).notice.sort is Sort.AUTO_REPLY


@pytest.mark.parametrize(
    "content",
    [
        mails.spam(SENT),
        b"",
        b"\xff\xfe\x00",
        b"From: mailer-daemon@example.net\r\n\r\nsomething happened",
        b"Content-Type: multipart/report; boundary=\r\n\r\n--\r\n",
    ],
)
def test_other_mails_are_unknown(content: bytes) -> None:
    assert read(content).notice.sort is Sort.UNKNOWN


def test_each_mail_has_an_id_of_its_own() -> None:
    first = read(mails.report(SENT))
    assert first.id == read(b"Received: by another way\r\n" + mails.report(SENT)).id
    assert first.id != read(mails.report(SENT, number=2)).id
    assert read(b"Subject: a\r\n\r\n").id != read(b"Subject: b\r\n\r\n").id


def storable(mail: ReturnedMail) -> None:
    """Assert that the result can be stored: PostgreSQL takes neither NUL nor half a character."""
    assert b"\\u0000" not in orjson.dumps(asdict(mail))


@given(st.sampled_from(list(FORMATS.values())), st.data())
def test_no_damaged_mail_raises(write: Callable[[Sent], bytes], data: st.DataObject) -> None:
    content = bytearray(write(SENT))
    for _ in range(data.draw(st.integers(0, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    storable(read(bytes(content[: data.draw(st.integers(0, len(content)))])))


@given(st.binary())
def test_no_mail_raises(content: bytes) -> None:
    storable(read(content))


@given(st.sampled_from(mails.FREE_FIELDS), st.text(max_size=30), st.binary(max_size=30))
def test_what_is_read_can_be_stored_in_any_database(name: str, text: str, octets: bytes) -> None:
    words = text.replace("\n", " ").encode("utf-8", "surrogatepass") + octets.replace(b"\n", b" ")
    content = mails.report(SENT).replace(
        f"\r\n{name}: ".encode(), f"\r\n{name}: rfc822; ".encode() + words + b" "
    )
    storable(read(content))


def test_no_text_of_a_mail_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    # flufl.bounce logs what it trips over
    content = b"X-Failed-Recipients: " + b"(" * 5_000 + b"joe@example.org\r\n\r\n"
    assert read(content).notice.sort is Sort.UNKNOWN
    assert not caplog.records


def test_deep_nesting_is_not_followed() -> None:
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (depth, depth)
        for depth in range(3_000)
    )
    assert read(head).notice.sort is Sort.UNKNOWN


def test_zip_bombs_are_not_opened_and_unknown_charsets_are_read() -> None:
    bomb = base64.encodebytes(zlib.compress(bytes(10_000_000), 9))
    content = mails.report(SENT).replace(b"charset=us-ascii", b"charset=klingon-8")
    content = content.replace(
        b"\r\n--=_report\r\nContent-Type: text/rfc822-headers",
        b"\r\n--=_report\r\nContent-Type: application/zip\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + bomb + b"\r\n"
        b"\r\n--=_report\r\nContent-Type: text/rfc822-headers",
    )
    assert about(content).status == "5.1.1"


TOKEN = f"12-{'ab' * 12}"


def test_a_mail_to_the_address_of_a_token_asks_to_unsubscribe() -> None:
    mail = read(mails.unsubscribing(SENT, TOKEN))
    assert mail.notice.sort is Sort.UNSUBSCRIBE
    assert mail.unsubscribe == UnsubscribeToken(12, "ab" * 12)
    loud = read(mails.unsubscribing(SENT, TOKEN).replace(TOKEN.encode(), TOKEN.upper().encode()))
    assert loud.unsubscribe == mail.unsubscribe


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Subject: unsubscribe", "Subject: away\r\nAuto-Submitted: auto-replied"),
        ("Subject: unsubscribe", "Subject: away\r\nPrecedence: auto_reply"),
        ("Subject: unsubscribe", "Subject: away\r\nX-Autoreply: yes"),
        ("From: Joe <joe@example.org>", "From: MAILER-DAEMON@mx.example.org"),
        ("From: Joe <joe@example.org>", "From: Joe <joe@example.org>\r\nReturn-Path: <>"),
        ("Subject: unsubscribe", "Subject: read\r\nContent-Type: multipart/report; boundary=x"),
        (f"To: unsubscribe+{TOKEN}@example.com", "To: unsubscribe@example.com"),
        (f"To: unsubscribe+{TOKEN}@example.com", f"To: unsubscribe+{TOKEN}0@example.com"),
        ("To: ", "Reply-To: "),
    ],
)
def test_automatic_replies_reports_and_mails_without_a_token_do_not(old: str, new: str) -> None:
    content = mails.unsubscribing(SENT, TOKEN)
    assert old.encode() in content
    mail = read(content.replace(old.encode(), new.encode()))
    assert mail.notice.sort is not Sort.UNSUBSCRIBE
    assert mail.unsubscribe is None


def test_a_reply_that_quotes_the_links_of_a_mail_does_not() -> None:
    quoted = f"> <mailto:unsubscribe+{TOKEN}@example.com>".encode()
    content = mails.unsubscribing(SENT, "none").replace(b"This message", quoted)
    assert read(content).notice.sort is Sort.UNKNOWN


def test_a_report_about_an_unsubscribe_address_is_a_report() -> None:
    sent = Sent(return_path=f"unsubscribe+{TOKEN}@example.com")
    mail = read(mails.report(sent))
    assert (mail.notice.sort, mail.unsubscribe) == (Sort.RETURNED, None)
