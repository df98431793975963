"""Mail that comes back, in the formats of those who send it, about mail of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Sent:
    """A mail of ours."""

    return_path: str = "bounces@example.com"
    recipient: str = "joe@example.org"
    message_id: str = "<0123456789abcdef0123456789abcdef@example.com>"

    @property
    def header(self) -> str:
        """What servers return of it."""
        return (
            f"From: News <news@example.com>\nTo: {self.recipient}\nSubject: Spring\n"
            f"Message-ID: {self.message_id}\n"
        )


def _mail(head: str, body: str) -> bytes:
    """The mail as the wire has it."""
    text = f"{dedent(head).strip()}\n\n{body.strip()}\n"
    return text.replace("\n", "\r\n").encode()


def report(
    sent: Sent,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 no such mailbox here",
    final_recipient: str = "",
    number: int = 1,
    kind: str = "message/delivery-status",
) -> bytes:
    """What postfix, sendmail and most others send (RFC 3464)."""
    head = f"""
        Return-Path: <>
        From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
        To: {sent.return_path}
        Subject: Undelivered Mail Returned to Sender
        Auto-Submitted: auto-replied
        Message-ID: <report-{number}@mx.example.net>
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status; boundary="=_report"
    """
    fields = [
        f"Final-Recipient: rfc822; {final_recipient or sent.recipient}",
        f"Action: {action}",
        f"Status: {status}",
        *([f"Diagnostic-Code: {diagnostic}"] if diagnostic else []),
    ]
    body = f"""--=_report
Content-Type: text/plain; charset=us-ascii

Your mail could not be brought to its reader.

--=_report
Content-Type: {kind}

Reporting-MTA: dns; mx.example.net
Arrival-Date: Mon, 5 Jan 2026 10:00:00 +0000

{chr(10).join(fields)}

--=_report
Content-Type: text/rfc822-headers

{sent.header}
--=_report--"""
    return _mail(head, body)


def delayed(sent: Sent) -> bytes:
    """Not delivered yet: a warning."""
    said = "smtp; 451 4.7.1 come back later"
    return report(sent, action="delayed", status="4.4.1", diagnostic=said, number=2)


def exchange(sent: Sent) -> bytes:
    """Exchange Online: the status is in the diagnostic code, the report is in HTML."""
    head = f"""
        From: <postmaster@example.org>
        To: <{sent.return_path}>
        Subject: Undeliverable: Spring
        Message-ID: <exchange-1@mail.example.org>
        In-Reply-To: {sent.message_id}
        References: {sent.message_id}
        X-MS-Exchange-Message-Is-Ndr:
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status;
         boundary="_000_part"
    """
    body = f"""--_000_part
Content-Type: multipart/alternative; differences=Content-Type; boundary="_001_part"

--_001_part
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: base64

PHA+WW91ciBtYWlsIGhhcyBub3QgYXJyaXZlZC48L3A+

--_001_part--

--_000_part
Content-Type: message/delivery-status

Reporting-MTA: dns;mail.example.org
Received-From-MTA: dns;out.example.com
Arrival-Date: Mon, 5 Jan 2026 10:00:00 +0000

Final-Recipient: rfc822;{sent.recipient}
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not
 found by SMTP address lookup

--_000_part
Content-Type: message/rfc822

{sent.header}
Hello
--_000_part--"""
    return _mail(head, body)


def gmail(sent: Sent) -> bytes:
    """Gmail: X-Failed-Recipients, and a report whose status says little."""
    head = f"""
        Return-Path: <>
        From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
        To: {sent.return_path}
        Auto-Submitted: auto-replied
        Subject: Delivery Status Notification (Failure)
        References: {sent.message_id}
        In-Reply-To: {sent.message_id}
        X-Failed-Recipients: {sent.recipient}
        Message-ID: <gmail-1@mx.google.com>
        MIME-Version: 1.0
        Content-Type: multipart/report; boundary="0000"; report-type=delivery-status
    """
    body = f"""--0000
Content-Type: text/plain; charset="UTF-8"

** Address not found **

Nobody of that name reads mail here.

--0000
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
X-Original-Message-ID: {sent.message_id}

Final-Recipient: rfc822; {sent.recipient}
Action: failed
Status: 5.0.0
Remote-MTA: dns; mx.example.org. (192.0.2.1, the server for the domain.)
Diagnostic-Code: smtp; 552-5.2.2 The inbox of this reader is full.
 552 5.2.2 Write again later
Last-Attempt-Date: Mon, 05 Jan 2026 02:00:00 -0800 (PST)

--0000
Content-Type: message/rfc822

{sent.header}
Hello
--0000--"""
    return _mail(head, body)


def exim(sent: Sent) -> bytes:
    """Exim: words, with the recipient in a field of its own."""
    head = f"""
        Return-path: <>
        From: Mail Delivery System <Mailer-Daemon@exim.example.net>
        To: {sent.return_path}
        X-Failed-Recipients: {sent.recipient}
        Auto-Submitted: auto-replied
        Subject: Mail delivery failed: returning message to sender
        Message-Id: <E1exim-0000@exim.example.net>
    """
    body = f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to its recipient:

  {sent.recipient}
    host mx.example.org [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<{sent.recipient}>:
    550 5.1.1 User unknown

------ This is a copy of the message, including all the headers. ------

{sent.header}
Hello, 450 4.2.2 of you"""
    return _mail(head, body)


def qmail(sent: Sent) -> bytes:
    """qmail: QSBMF, a paragraph a recipient."""
    head = f"""
        Return-Path: <>
        From: MAILER-DAEMON@qmail.example.net
        To: {sent.return_path}
        Subject: failure notice
        Message-Id: <qmail-1@qmail.example.net>
    """
    body = f"""Hi. This is the qmail-send program at qmail.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{sent.recipient}>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 no mailbox here by that name
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

{sent.header}
Hello"""
    return _mail(head, body)


def yahoo(sent: Sent) -> bytes:
    """Yahoo: words of its own, without a status."""
    head = f"""
        From: MAILER-DAEMON@yahoo.com
        To: {sent.return_path}
        Subject: Delivery failure
        X-Yahoo-Newman-Property: mdaemon
        Message-Id: <yahoo-1@yahoo.com>
    """
    body = f"""Message from yahoo.com.
Unable to deliver message to the following address(es).

<{sent.recipient}>:
This user doesn't have a yahoo.com account ({sent.recipient}) [0]

--- Original message follows.

{sent.header}
Hello"""
    return _mail(head, body)


def opensmtpd(sent: Sent) -> bytes:
    """OpenSMTPD: words that no library knows, with the server's reply behind the address."""
    head = f"""
        Return-Path: <>
        From: Mailer Daemon <MAILER-DAEMON@opensmtpd.example.net>
        To: {sent.return_path}
        Subject: Delivery status notification: error
        Message-Id: <opensmtpd-1@opensmtpd.example.net>
    """
    body = f"""    Hi!

    This is the MAILER-DAEMON, please DO NOT REPLY to this e-mail.

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

{sent.recipient}: 550 5.1.1 There is no such reader here

    Below is a copy of the original message:

{sent.header}
Hello, 552 5.2.2 of you"""
    return _mail(head, body)


def notes(sent: Sent) -> bytes:
    """Lotus Notes: words alone, in a character set of their own."""
    head = f"""
        Return-Path: <>
        From: postmaster@notes.example.jp
        To: {sent.return_path}
        Subject: Undeliverable message
        Message-Id: <notes-1@notes.example.jp>
        MIME-Version: 1.0
        Content-Type: text/plain; charset=ISO-2022-JP
    """
    said = "ディレクトリのリストにありません".encode("iso-2022-jp").decode("ascii")
    body = f"""------- Failure Reasons  --------

{said}
{sent.recipient}

------- Returned Message --------
{sent.header}
Hello"""
    return _mail(head, body)


def _notification(sent: Sent, found: dict[str, object], *, enveloped: bool) -> bytes:
    """As Amazon SNS mails what SES tells it, with SES's line breaks."""
    head = """
        Return-Path: <0101-000000@us-west-2.amazonses.example>
        From: Events <no-reply@sns.amazonaws.example>
        To: complaints@example.com
        Subject: AWS Notification Message
        Message-ID: <ses-1@us-west-2.amazonses.example>
        MIME-Version: 1.0
        Content-Type: text/plain; charset=UTF-8
        Content-Transfer-Encoding: 7bit
    """
    headers = [{"name": "Message-ID", "value": sent.message_id}, {"name": "To", "value": "Joe"}]
    about = {"source": sent.return_path, "destination": [sent.recipient], "headers": headers}
    said = json.dumps({**found, "mail": about}, separators=(",", ":"))
    if enveloped:
        said = json.dumps({"Type": "Notification", "MessageId": "1", "Message": said}, indent=2)
    else:
        said = "\n ".join(said[at : at + 70] for at in range(0, len(said), 70))
    return _mail(head, f"{said}\n\n--\nTo stop these, visit https://sns.example/unsubscribe")


def ses(
    sent: Sent,
    *,
    lasts: str = "Permanent",
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 user unknown",
    subtype: str = "General",
    has_report: bool = True,
    enveloped: bool = False,
) -> bytes:
    """Amazon SES's notification of a bounce."""
    fields = {"action": "failed", "status": status, "diagnosticCode": diagnostic}
    one = {"emailAddress": sent.recipient, **(fields if has_report else {})}
    bounce = {"bounceType": lasts, "bounceSubType": subtype, "bouncedRecipients": [one]}
    found: dict[str, object] = {"notificationType": "Bounce", "bounce": bounce}
    return _notification(sent, found, enveloped=enveloped)


def ses_complaint(sent: Sent, feedback: str = "abuse", *, enveloped: bool = False) -> bytes:
    """Amazon SES's notification of a complaint, in the form of a configuration set."""
    people = [{"emailAddress": sent.recipient}]
    complained = {"complainedRecipients": people, "complaintFeedbackType": feedback}
    found: dict[str, object] = {"eventType": "Complaint", "complaint": complained}
    return _notification(sent, found, enveloped=enveloped)


def outlook_complaint(sent: Sent) -> bytes:
    """Outlook.com's Junk Mail Reporting Program: the mail is attached, nothing more."""
    head = """
        From: staff@hotmail.com
        To: complaints@example.com
        Subject:  complaint about message from 192.0.2.222
        Message-ID: <jmrp-1@hotmail.example>
        MIME-Version: 1.0
        Content-Type: multipart/mixed; boundary="jmrp"
    """
    body = f"""--jmrp
Content-Type: message/rfc822
Content-Disposition: inline

X-HmXmrOriginalRecipient: {sent.recipient}
Return-Path: <{sent.return_path}>
{sent.header}
Hello
--jmrp--"""
    return _mail(head, body)


def complaint(sent: Sent, kind: str = "abuse") -> bytes:
    """A provider's feedback loop (ARF, RFC 5965), which does not come to the return path."""
    head = """
        From: <feedback@provider.example>
        To: <complaints@example.com>
        Subject: FW: Spring
        Message-ID: <arf-1@provider.example>
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=feedback-report; boundary="arf"
    """
    body = f"""--arf
Content-Type: text/plain; charset="US-ASCII"

A reader of ours did not want this.

--arf
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Provider/1.0
Version: 1
Original-Mail-From: <{sent.return_path}>
Original-Rcpt-To: <{sent.recipient}>

--arf
Content-Type: message/rfc822

Return-Path: <{sent.return_path}>
{sent.header}
Hello
--arf--"""
    return _mail(head, body)


def out_of_office(sent: Sent) -> bytes:
    """A reader's auto-responder (RFC 3834), which quotes the mail."""
    head = f"""
        Return-Path: <>
        From: Joe <{sent.recipient}>
        To: {sent.return_path}
        Subject: Out of office
        Auto-Submitted: auto-replied
        In-Reply-To: {sent.message_id}
        Message-ID: <ooo-1@example.org>
    """
    return _mail(head, "Back on Monday. The user unknown to me may wait: 550 5.1.1.")


def spam(sent: Sent) -> bytes:
    """What every published address gets."""
    head = f"""
        From: Somebody <somebody@example.net>
        To: {sent.return_path}
        Subject: Buy
        Message-ID: <spam-1@example.net>
    """
    return _mail(head, "Delivery failed? Buy ours.")


FORMATS: dict[str, Callable[[Sent], bytes]] = {
    "report": report,
    "exchange": exchange,
    "gmail": gmail,
    "exim": exim,
    "qmail": qmail,
    "yahoo": yahoo,
    "opensmtpd": opensmtpd,
    "notes": notes,
    "ses": ses,
}
"""All ways to say that mail cannot be delivered."""

COMPLAINTS: dict[str, Callable[[Sent], bytes]] = {
    "feedback report": complaint,
    "outlook": outlook_complaint,
    "ses": ses_complaint,
}
"""All ways to say that a reader calls mail spam."""

FREE_FIELDS = ("Final-Recipient", "Diagnostic-Code", "Status", "Action", "Message-ID")
"""Fields of a `report` that strangers fill."""


def unsubscribing(sent: Sent, token: str, *, number: int = 1, extra: str = "") -> bytes:
    """What a mail program sends for `mailto:unsubscribe+<token>@...`."""
    fields = [
        f"From: Joe <{sent.recipient}>",
        f"To: unsubscribe+{token}@example.com",
        "Subject: unsubscribe",
        f"Message-ID: <unsubscribe-{number}@example.org>",
        *([extra] if extra else []),
    ]
    return _mail("\n".join(fields), "This message was automatically generated.")
