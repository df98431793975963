"""Replies that blame a mailbox provider."""

from __future__ import annotations

import pytest

from mailsluice.mailbox_providers import UNRESOLVED, Action, Blame, blamed, known_providers
from mailsluice.mailbox_providers.blame import rule_of, rules
from tests.unit.growth import TIMES, is_in_proportion

REPLIES = {
    "google": {
        "receiving mail at a rate that": "450 4.2.1 The user you are trying to contact is receiving"
        " mail at a rate that\n4.2.1 prevents additional messages from being delivered. - gsmtp",
        "receiving mail too quickly ... gsmtp": "450 4.2.1 The user you are trying to contact is"
        " receiving mail too quickly.\n4.2.1 Please resend your message later a1-20si12 - gsmtp",
        "5** likely unsolicited mail": "550 5.7.1 [192.0.2.1      12] Our system has detected that"
        " this message is\n5.7.1 likely unsolicited mail. - gsmtp",
        "5** reduce the amount of spam sent to gmail": "550 5.7.1 [192.0.2.1] To reduce the amount"
        " of\n5.7.1 spam sent to Gmail, this message has been blocked. a1-20si12.1 - gsmtp",
        "5** unusual rate of": "550 5.7.28 [192.0.2.1] There is an unusual rate of unsolicited mail"
        " originating\n5.7.28 from your IP address. - gsmtp",
        "5** very low reputation of the sending": "550 5.7.1 [192.0.2.1      19] Our system has"
        " detected that this message is\n5.7.1 likely suspicious due to the very low reputation of"
        " the sending domain. - gsmtp",
        "4** very low reputation of the sending": "421 4.7.0 [192.0.2.1      15] This message is"
        " suspicious due to the very low\n4.7.0 reputation of the sending IP address. - gsmtp",
        "4** protect our users from spam": "421 4.7.0 [192.0.2.1] Our system has detected that this"
        " message is suspicious. To best\n4.7.0 protect our users from spam, it was blocked",
        "4** try again later, closing connection ... gsmtp": "421 4.7.0 Try again later, closing"
        " connection. (MAIL) a640c23a62f3a-1 - gsmtp",
        "4** unusual rate of": "421 4.7.28 [192.0.2.1      15] Our system has detected an unusual"
        " rate of\n4.7.28 unsolicited mail originating from your IP address. - gsmtp",
    },
    "microsoft": {
        "banned sending ip": "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request"
        " removal from this list please visit https://sender.office.com/",
        "dy-00*": "550 DY-001 (BAY0-MC1-F1) Unfortunately, messages from 192.0.2.1 weren't sent.",
        "ou-00*": "550 OU-002 (COL004-MC1F1) Unfortunately, messages from 192.0.2.1 weren't sent.",
        "part of their network is on our block list": "550 5.7.1 Unfortunately, messages from"
        " [192.0.2.1] weren't sent. Please contact your Internet service provider since part of"
        " their network is on our block list (S3999).",
        "s3140": "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent (S3140).",
        "s3150": "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent (S3150).",
        "sc-00*": "550 SC-001 (SNT004-MC1F1) Unfortunately, messages from 192.0.2.1 weren't sent.",
        "4** temporarily rate limited due to ip reputation": "451 4.7.650 The mail server"
        " [192.0.2.1] has been temporarily rate limited due to IP reputation.",
        "s3114": "451 4.7.651 The mail server [192.0.2.1] was limited (S3114)",
        "s775*": "451 4.7.650 The mail server [192.0.2.1] was limited (S77501)",
        "4** access denied, please try again later": "451 4.7.550 Access denied, please try again"
        " later. [AM5EUR02FT1.eop-EUR02.prod.protection.outlook.com]",
        "4** has exceeded the maximum number of connections": "421 4.3.2 The mail server"
        " [192.0.2.1] has exceeded the maximum number of connections.",
        "4** pfa agent busy": "451 4.7.700 PFA agent busy, please try again. [A.prod.outlook.com]",
        "4** server busy. please try again later from": "451 4.7.500 Server busy. Please try again"
        " later from [192.0.2.1]. (AS77713)",
        "rp-00*": "421 RP-001 (BAY004-MC2F1) Unfortunately, some messages from 192.0.2.1 weren't"
        " sent. Please try again. We have limits for how many messages can be sent per hour.",
        "s77719": "451 4.7.500 Server Busy (S77719)",
    },
    "yahoo": {
        "user is receiving mail too quickly": "450 User is receiving mail too quickly",
        "5** [bl2*": "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the"
        " ip is in Spamhaus's list; see http://postmaster.yahoo.com/550-bl23.html",
        "5** [tss*": "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred",
        "5** message not accepted for policy reasons": "554 5.7.9 Message not accepted for policy"
        " reasons.  See https://postmaster.yahooinc.com/error-codes",
        "5** [ph01]": "554 Message not allowed - [PH01] Email not accepted for policy reasons.",
        "4** [ipts0*": "421 [IPTS04] Messages from 192.0.2.1 temporarily deferred",
        "4** [ts01]": "421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred",
        "4** [ts02]": "421 4.7.0 [TS02] Messages from 192.0.2.1 temporarily deferred",
        "4** [ts04]": "421 4.7.0 [TS04] Messages from 192.0.2.1 temporarily deferred",
        "4** tss0*": "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
        "4** temporarily deferred due to unexpected volume": "451 Message temporarily deferred due"
        " to unexpected volume or user complaints - 4.16.55.1",
        "4** temporarily deferred due to user complaints": "421 4.7.1 Messages from 192.0.2.1"
        " temporarily deferred due to user complaints - 4.16.55",
        "4** [ts03]": "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred",
        "4** resources temporarily not available ... [#4.16.*": "451 Resources temporarily not"
        " available - Please try again later [#4.16.5].",
    },
    "yahoo-japan": {
        "vs98-ip0 deferred": "553 Mail from 192.0.2.1 not allowed - VS98-IP0 deferred",
    },
    "apple": {
        "4** messages to ... deferred due to excessive volume": "421 4.7.1 Messages to"
        " a@icloud.com deferred due to excessive volume. Try again later",
        "[cs01]": "550 5.7.1 [CS01] Message rejected due to local policy. Please visit"
        " https://support.apple.com/en-us/HT204137",
        "domain present in the spamhaus dbl": "550 5.7.1 Your email was rejected due to having a"
        " domain present in the Spamhaus DBL -- see https://www.spamhaus.org/dbl/",
        "rejected due to listing in spamhaus": "550 5.7.1 Mail from IP 192.0.2.1 was rejected due"
        " to listing in Spamhaus SBL.",
        "4** [bs02]": "451 [BS02] Temporary server error. Please try again later.",
        "4** [hcm1]": "421 [HCM1] Your mail from 192.0.2.1 was deferred.",
    },
    "united-internet": {
        "5** nemesis esmtp service not available": "554 gmx.net (mxgmx104) Nemesis ESMTP Service"
        " not available\nNo SMTP service\nIP address is block listed.",
        "4** nemesis esmtp service not available": "421 web.de (mxweb113) Nemesis ESMTP Service not"
        " available\nService unavailable\nReject due to policy restrictions",
        "4** too many messages have been received in a short period": "450 Requested action"
        " aborted. Too many messages have been received in a short period of time.",
    },
    "telekom": {
        "5** a problem occurred. (ask your postmaster for help": "554 IP=192.0.2.1 - A problem"
        " occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de) (BL)",
    },
    "orange": {
        "5** ofr* ... _101": "550 5.7.1 Service unavailable; client blocked. OFR006_101 [101]",
        "5** ofr* ... _102": "550 mwinf5c04 ME Adresse IP source bloquee pour incident de spam."
        " Client host blocked for spamming issues. OFR006_102 Ref http://example.org",
        "5** ofr* ... _103": "550 mwinf5c10 ME Service refuse. Veuillez essayer plus tard. Service"
        " refused, please try later. OFR006_103 192.0.2.1 [103]",
        "5** ofr* ... _510": "550 5.5.0 Service refuse. Veuillez essayer plus tard. OFR_510 [510]",
        "ofr* ... _506": "550 5.5.0 Mail rejete. Mail rejected. OFR_506 [506]",
        "4** ofr* ... _999": "421 mwinf5c77 ME Service refuse. Veuillez essayer plus tard. Service"
        " refused, please try later. OFR_999 [999]",
        "4** ofr* ... _104": "421 mwinf5c79 ME Trop de connexions, veuillez verifier votre"
        " configuration. Too many connections, slow down. OFR005_104 [104]",
        "4** ofr* ... _505": "421 4.2.0 Service refuse. Veuillez essayer plus tard. OFR005_505",
    },
    "la-poste": {
        "5** lpn* ... _101": "550 5.7.1 Service unavailable; client blocked. LPNAAA_101",
        "5** lpn* ... _102": "550 5.5.0 Les emails envoyes vers la messagerie Laposte.net ont ete"
        " bloques par nos services. LPN007_102",
        "5** lpn* ... _103": "550 5.5.0 Service refused, please try later. LPN105_103",
        "5** lpn* ... _510": "550 5.5.0 Service refused, please try later. LPN005_510",
        "lpn* ... _506": "550 5.5.0 Mail rejete. Mail rejected. LPN007_506",
        "4** lpn* ... _104": "421 4.5.1 Too many connections, slow down. LPN105_104",
        "4** lpn* ... _505": "421 4.2.1 Service refused, please try later. LPN007_505",
    },
    "free": {
        "too many spams from your ip": "421 Too many spams from your IP (192.0.2.1), please visit"
        " http://postmaster.free.fr/",
        "too many errors from your ip": "421 Too many errors from your IP (192.0.2.1), please visit"
        " http://postmaster.free.fr/",
    },
    "mail-ru": {
        "5** help.mail.ru/notspam-support": "550 We do not accept such mail. Please visit"
        " http://help.mail.ru/notspam-support/id?c=abc",
        "5** spam message rejected": "550 spam message rejected. Please visit our page",
    },
    "yandex": {
        "recipient has exceeded message rate limit": "451 4.5.1 The recipient has exceeded message"
        " rate limit. Try again later. 1700000000-abc",
        "5** rejected under suspicion of spam": "554 5.7.1 [2] Message rejected under suspicion of"
        " SPAM; https://ya.cc/1IrBc 1700000000-abc",
    },
    "comcast": {
        "bl000*": "554 resimta-po-01v.sys.comcast.net comcast 192.0.2.1 Comcast block for spam."
        " Please see http://postmaster.comcast.net/smtp-error-codes.php#BL000000",
        "4** comcast too many sessions opened": "421 imta24.westchester.pa.mail.comcast.net comcast"
        " Too many sessions opened",
        "rl000*": "421 4.1.0 192.0.2.1 Throttled - try again later. Please see"
        " https://postmaster.comcast.net/smtp-error-codes.php#RL000003",
    },
    "charter": {
        "aup#in-1000": "554 impin012 charter.net ESMTP server not available AUP#In-1000",
        "aup#in-12*": "554 impin012 charter.net ESMTP server not available AUP#In-1210",
        "aup#in-13*": "421 impin012 charter.net Too many connections AUP#In-1310",
        "aup#in-14*": "452 Too many recipients received from the sender AUP#In-1480",
    },
    "godaddy": {
        "ib103": "554 Connection refused. This IP has a poor reputation on Cloudmark Sender"
        " Intelligence (CSI). IB103",
        "ib104": "554 Connection refused. This IP address is listed. IB104",
        "ib105": "554 Connection refused. This IP address is listed. IB105",
        "ib106": "554 Connection refused. This IP address is listed. IB106",
        "ib110": "554 This IP has been temporarily blocked for attempting to send too many messages"
        " containing content judged to be spam. IB110",
        "ib111": "554 This IP has been blocked for the day. IB111 <http://x.co/srbounce>",
        "ib112": "554 This IP has been temporarily blocked for attempting to mail too many invalid"
        " recipients. IB112",
        "ib113": "554 This IP has been blocked for the day. IB113 <http://x.co/srbounce>",
        "ib504": "550 This IP has sent too many messages this hour. IB504",
        "ib607": "550 This IP has sent too many to too many recipients this hour. IB607",
        "ib007": "421 Connection refused, too many sessions from This IP. IB007",
        "ib101": "421 Server temporarily unavailable. Try again later. IB101",
    },
    "rackspace": {
        "mailbox received too much email in a short period of time (g30)": "450 4.2.1 Mailbox"
        " received too much email in a short period of time (G30)",
        "too many messages from a new or untrusted ip (g28)": "451 4.7.1 Received too many messages"
        " from a new or untrusted IP (G28)",
        "too many concurrent connections from this client (g2)": "421 Too many concurrent"
        " connections from this client (G2)",
    },
    "tencent": {
        "suspected bounce attacks": "550 Suspected bounce attacks http://service.mail.qq.com/57",
        "suspected spam ip": "550 Suspected spam ip http://service.mail.qq.com/66",
        "connection frequency limited": "550 Connection frequency limited http://mail.qq.com/175",
        "domain frequency limited": "550 Domain frequency limited http://service.mail.qq.com/173",
        "ip frequency limited": "550 Ip frequency limited http://service.mail.qq.com/172",
        "sender frequency limited": "550 Sender frequency limited http://service.mail.qq.com/174",
    },
    "netease": {
        "hl:ipb": "554 HL:IPB 163 smtp1,ABCDEF,http://mail.163.com/help/help_spam_16.htm?ip=192.0.2.1",
        "5** dt:spm": "554 DT:SPM 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
        "4** dt:spm": "451 DT:SPM ,please try again 163 mx1,ABCDEF",
        "hl:icc": "421 HL:ICC 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
        "hl:ifc": "421 HL:IFC 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
        "hl:itc": "554 HL:ITC 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
        "hl:mep": "421 HL:MEP 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
        "hl:rep": "421 HL:REP 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
        "rp:orq": "550 RP:ORQ 163 mx1,ABCDEF,http://mail.163.com/help/help_spam_16.htm",
    },
    "mimecast": {
        "internal resources are temporarily unavailable": "451 Internal resources are temporarily"
        " unavailable - https://community.mimecast.com/docs/DOC-1369#451 [abc]",
        "local ct ip reputation": "550 Local CT IP Reputation - (reject) [abc]",
        "ip temporarily blacklisted": "451 IP temporarily blacklisted [abc]",
        "account service is temporarily unavailable": "451 Account service is temporarily"
        " unavailable [abc]",
        "unable to process connection at this time": "451 Unable to process connection at this"
        " time",
    },
    "symantec": {
        "5** connection rejected by policy [7.*": "501 Connection rejected by policy [7.7] 38712,"
        " please visit www.messagelabs.com/support for more details.",
    },
    "filters": {
        "5** blocked using trend micro": "550 5.7.1 Service unavailable; Client host [192.0.2.1]"
        " blocked using Trend Micro RBL+.",
        "5** csi.cloudmark.com": "550 smtp-34.iol.local IP blacklisted by CSI. For remediation"
        " please use http://csi.cloudmark.com/reset-request/?ip=192.0.2.1",
        "5** ipcheck.proofpoint.com": "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1",
        "5** rejected due to the sending mta's poor reputation": "554 Your access to this mail"
        " system has been rejected due to the sending MTA's poor reputation.",
        "5** support.proofpoint.com/dnsbl-lookup": "550 5.7.0 Blocked - see"
        " https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.1",
        "5** www.barracudanetworks.com/reputation": "550 5.7.1 Service unavailable; Client host"
        " [192.0.2.1] blocked using Barracuda Reputation;"
        " http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1",
        "5.7.28": "550 5.7.28 Mail flood detected",
        "4** blocked using trend micro": "450 4.7.1 Service temporarily unavailable; Client host"
        " [192.0.2.1] blocked using Trend Micro Email Reputation Service.",
        "4** csi.cloudmark.com": "421 Your IP is on hold, see http://csi.cloudmark.com/reset-request",
        "4** ipcheck.proofpoint.com": "421 Deferred - see https://ipcheck.proofpoint.com/?ip=192.0.2.1",
        "4.7.28": "421 4.7.28 This mail has been rate limited because its Message-ID is repeated",
        "4** too many recipients received this hour": "452 Too many recipients received this hour",
    },
}
"""A real-looking reply for each line, by the provider's table in `replies.toml`."""
CASES = [(table, line, reply) for table, lines in REPLIES.items() for line, reply in lines.items()]
OTHERS = [
    # Greylisting, full and unknown mailboxes, and a rate of the mailbox.
    "450 4.7.1 <a@b.example>: Recipient address rejected: Greylisted, see http://postgrey.example",
    "451 4.7.1 Greylisting in action, please come back later",
    "452 4.2.2 The recipient's inbox is out of storage space. - gsmtp",
    "552 5.2.2 Mailbox full",
    # Addresses and hosts that look like a provider's word.
    "550 5.1.1 <s7751234@students.example>: Recipient address rejected: User unknown",
    "550 5.1.1 ib103@shop.example... User unknown",
    "452 4.2.2 <a.b@rl0001.example> mailbox full",
    "550 5.1.1 no such user here, says sc-001.mx.example",
    "550 5.1.1 The email account that you tried to reach does not exist. - gsmtp",
    "550 5.4.1 Recipient address rejected: Access denied. [AM5.eop-EUR02.prod.outlook.com]",
    # An unknown server, and relays that speak of themselves.
    "421 4.7.0 Try again later",
    "421 4.7.0 Try again later, closing connection.",
    "450 4.2.1 Peak SMTP relay limit exceeded for customer. - gsmtp",
    "550 5.4.5 Daily SMTP relay sending limit exceeded for this user. - gsmtp",
    "451 4.3.0 Temporary server error. Please try again later",
    "421 4.3.2 Service shutting down",
    "421 Too many connections from your IP",
    "451 4.7.1 Service unavailable - try again later",
    "550 5.7.1 Unauthenticated email is not accepted from this domain. - gsmtp",
    "535 5.7.8 Username and Password not accepted",
    "554 5.7.1 <a@b.example>: Relay access denied",
    # Codes inside of other words, addresses and versions.
    "450 4.1.1 queued as XS3150A for retry",
    "450 4.3.0 mx 10.4.7.28 is busy",
    "450 4.3.0 version 4.7.28.1",
    "250 2.0.0 OK S3150",
    "451 4.3.0 drp-001x",
    "",
]


def split(reply: str) -> tuple[str, int | None]:
    """The text and the code of a reply as it is written in a log."""
    return (reply[4:], int(reply[:3])) if reply else ("", None)


@pytest.mark.parametrize(("table", "line", "reply"), CASES)
def test_each_line_recognises_its_reply(table: str, line: str, reply: str) -> None:
    [rule] = [rule for rule in rules() if (rule.table, rule.line) == (table, line)]
    text, code = split(reply)
    blame = blamed(text, code, "hoster.example")
    assert blame == Blame("hoster.example", rule.action, rule.seconds, rule.providers)
    assert blamed(reply, None, "hoster.example") == blame  # as events and bounces quote it
    assert rule_of(text, code) is rule


def test_each_line_has_a_reply() -> None:
    assert {(rule.table, rule.line) for rule in rules()} == {case[:2] for case in CASES}


def test_lists_are_in_order_and_name_known_providers() -> None:
    assert {name for rule in rules() for name in rule.providers} <= {*known_providers()}
    assert all(rule.seconds >= 60 for rule in rules() if rule.action in (Action.REST, Action.BLOCK))
    assert all(
        rule.seconds == 0 for rule in rules() if rule.action in (Action.SLOW, Action.MAILBOX)
    )


@pytest.mark.parametrize("reply", OTHERS)
def test_other_replies_blame_nobody(reply: str) -> None:
    text, code = split(reply)
    assert blamed(text, code, "google") is None


@pytest.mark.parametrize(
    ("reply", "recipient", "provider"),
    [
        # The recipient's own provider is nearer than the one that it passes the mail on to.
        ("421 4.7.0 [TSS04] Messages temporarily deferred", "yahoo", "yahoo"),
        ("421 4.7.0 [TSS04] Messages temporarily deferred", "hoster.example", "hoster.example"),
        ("550 5.7.1 weren't sent (S3150)", "microsoft-consumer", "microsoft-consumer"),
        # Where that is not known, the one that the reply names.
        ("421 4.7.0 [TSS04] Messages temporarily deferred", UNRESOLVED, "yahoo"),
        ("421 4.7.0 [TSS04] Messages temporarily deferred", "", "yahoo"),
        # Consumers' domains are always known, so this one is a company's.
        ("550 5.7.1 weren't sent (S3150)", UNRESOLVED, "microsoft-business"),
        # Nobody is named.
        ("554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", UNRESOLVED, UNRESOLVED),
    ],
)
def test_the_provider_to_blame(reply: str, recipient: str, provider: str) -> None:
    blame = blamed(*split(reply), recipient)
    assert blame is not None
    assert blame.provider == provider


@pytest.mark.parametrize(
    "reply",
    [
        # Postfix and Microsoft 365 quote the server behind them.
        "host gmail-smtp-in.l.google.com[192.0.2.9] said: 421-4.7.28 [192.0.2.1] Our system has"
        " detected an unusual rate of 421-4.7.28 unsolicited mail (in reply to end of DATA)",
        "smtp; 421 4.7.28 Gmail has detected an unusual rate of unsolicited mail",
        "421-4.7.28 Gmail has detected an unusual\n421-4.7.28 rate of unsolicited mail",
    ],
)
def test_replies_that_are_quoted(reply: str) -> None:
    assert blamed(reply, None, "google") == Blame("google", Action.SLOW, 0.0, ("google",))


def test_a_code_decides_between_slower_mail_and_a_block() -> None:
    text = "an unusual rate of unsolicited mail"
    actions = [blamed(text, code, "google") for code in (421, 550)]
    assert [blame and blame.action for blame in actions] == [Action.SLOW, Action.BLOCK]


def test_only_the_beginning_of_a_reply_counts() -> None:
    assert blamed("x" * 900 + " [CS01]", 550, "apple") is not None
    assert blamed("x" * 1_000 + " [CS01]", 550, "apple") is None


@pytest.mark.parametrize(
    "unit",
    [
        "s3150",
        "s3150@",
        "sc-00",
        "unusual rate o",
        "messages to ",
        "ofr_ ",
        "4.7.2 ",
        "[ts",
        "\n",
        "4.7.28 ",
    ],
)
def test_hostile_replies_take_linear_time(unit: str) -> None:
    def work(text: str) -> None:
        folded = " ".join(text.lower().split())
        for rule in rules():
            rule.matches(folded, "421")

    short = unit * (12_500 // len(unit))
    assert is_in_proportion(work, short, short * TIMES, nothing=0.05)
    blamed(short * TIMES, 421, "google")  # looks at the first 1,000 characters only
