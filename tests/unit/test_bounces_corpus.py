"""Replies of real servers, and the kind of each for its recipient."""

from __future__ import annotations

from itertools import product

import pytest

from mailsluice.bounces import BounceKind, kind_of
from mailsluice.bounces.own_reply import OwnReply, own_reply
from mailsluice.bounces.refusal import refused
from mailsluice.bounces.words import topics
from mailsluice.core.outcome import Attempt, Phase

HARD, SOFT, NOTHING = BounceKind.HARD, BounceKind.SOFT, None

# As they answer RCPT.
REPLIES = [
    # There is no such mailbox.
    (HARD, "550 5.1.1 The email account that you tried to reach does not exist. Please try"),
    (HARD, "550-5.1.1 double-checking the recipient's email address for typos or spaces."),
    (HARD, "550 5.1.1 joe@example.org: Recipient address rejected: User unknown in local table"),
    (HARD, "550 5.1.1 joe@example.org User does not exist - psmtp"),
    (HARD, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP lookup"),
    (HARD, "550 5.1.351 Remote server returned unknown recipient or mailbox unavailable"),
    (HARD, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [x.outlook.com]"),
    (HARD, "550 5.4.1 [joe@example.org]: Recipient address rejected: Access denied"),
    (HARD, "550 5.4.1 All recipient addresses rejected : Access denied"),
    (HARD, "550 5.4.310 DNS domain example.org does not exist [Message=InfoDomainNonexistent]"),
    (HARD, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)"),
    (HARD, "550 Requested action not taken: mailbox unavailable"),
    (HARD, "550 5.7.1 No such user"),
    (HARD, "553 5.7.1 Invalid recipient joe@example.org (Mode: normal)"),
    (HARD, "550 5.7.1 <joe@example.org>: Recipient address rejected: User unknown"),
    (HARD, "550 5.0.0 <joe@example.org>... User unknown"),
    (HARD, "550 5.2.0 Unknown user joe@example.org"),  # mobile carriers in Japan
    (HARD, "554 delivery error: dd This user doesn't have a yahoo.com account (joe@yahoo.com)"),
    (HARD, "554 delivery error: dd Sorry, this account has been disabled or discontinued [#102]"),
    (HARD, "550 #5.1.0 Address rejected."),  # Cisco
    (HARD, "550 5.1.1 unknown or illegal alias: joe@example.org"),
    (HARD, "550 sorry, no mailbox here by that name. (#5.1.1)"),
    (HARD, "550 5.2.1 The email account that you tried to reach is disabled."),
    (HARD, "554 5.1.1 unrouteable address"),
    (HARD, "554 Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)"),
    (HARD, "501 5.1.3 Bad recipient address syntax"),
    (HARD, "556 5.1.10 Recipient address has null MX"),
    # ... in other words
    (HARD, "550 5.0.0 Utente sconosciuto"),
    (HARD, "550 Destinatario sconosciuto o casella disattivata"),
    (HARD, "554 5.0.0 Benutzer unbekannt"),
    (HARD, "554 Empfänger joe nicht gefunden"),
    (HARD, "554 5.0.0 Adresse d'au moins un destinataire invalide. Adresse inconnue"),
    (HARD, "554 El usuario joe no existe en este servidor"),
    (HARD, "554 Usuário desconhecido"),
    (HARD, "554 gebruiker onbekend"),
    (HARD, "554 Nie ma takiego konta"),
    (HARD, "554 Пользователь не найден"),
    (HARD, "554 收件人不存在"),
    (HARD, "554 ユーザーが見つかりません"),
    # The mailbox gets too much, or is full; or it is in doubt.
    (SOFT, "550-5.2.1 The user you are trying to contact is receiving mail at a rate that"),
    (SOFT, "550 5.2.1 The user you are trying to contact is receiving mail too quickly."),
    (SOFT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly."),
    (SOFT, "550 5.2.122 The recipient has exceeded their limit for the number of messages"),
    (SOFT, "552 5.1.1 box full"),
    (SOFT, "552 sorry, mailbox joe@example.org is over quota temporarily (#5.1.1)"),
    (SOFT, "550 5.1.1 <joe@example.org> mailbox is full"),
    (SOFT, "552 5.2.2 Over quota"),
    (SOFT, "554 5.2.2 mailbox full"),
    (SOFT, "550 5.7.1 mailbox full"),
    (SOFT, "552 5.1.1 rejected"),  # 552: storage exceeded
    (SOFT, "450 4.1.1 <joe@example.org>: Recipient address rejected: User unknown"),
    (SOFT, "550 5.1.1 user temporarily unavailable"),
    (SOFT, "550 4.2.2 no such user"),  # for now, says the status
    (SOFT, "450 5.1.1 no such user"),  # for now, says the code
    (SOFT, "550 5.1.1 rejected (5.7.1 by a rule)"),
    (SOFT, "550 5.1.1 RCP-P2 Refused due to recipient preferences"),  # Facebook
    (SOFT, "550 5.1.1 Sender denied"),
    (SOFT, "550 5.4.4 Host not found, try again"),
    (SOFT, "550 5.1.1 user unknown; listed by zen.spamhaus.org"),
    (SOFT, "550 5.4.1 no answer from host"),
    (SOFT, "550 5.1.1 User is over the limit"),
    (SOFT, "550 5.1.1 not enough space"),
    (SOFT, "550 5.1.1 sorry, your envelope sender is in my badmailfrom list"),
    (SOFT, "550 5.1.1 Host unknown by reverse lookup"),
    (SOFT, "550 5.1.1 Dynamic IP address not accepted"),
    (SOFT, "550 5.1.1 rejected [192.0.2.1]"),
    (SOFT, "552 Postfach ist voll"),
    (SOFT, "550 La casella è piena"),
    (SOFT, "550 Почтовый ящик переполнен"),
    # The sending server is blocked.
    (NOTHING, "550 5.1.1 Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.org"),
    (NOTHING, "550 5.1.1 Unfortunately, messages from [192.0.2.1] weren't sent. (S3140)"),
    (NOTHING, "550 5.1.1 http://www.barracudanetworks.com/reputation/?ip=192.0.2.1"),
    (NOTHING, "553 5.1.3 http://www.spamhaus.org/query/bl?ip=192.0.2.222"),
    (NOTHING, "550 5.1.1 joe@example.org - 192.0.2.1 has sent to too many recipients. IB607"),
    (NOTHING, "550 5.1.1 IP address blacklisted by recipient"),
    (NOTHING, "550 5.1.1 rejected: your IP is listed"),
    (NOTHING, "550 5.1.1 OU-002 Mail rejected by Outlook.com"),
    (NOTHING, "553 5.3.0 RTR:BL Blocked"),
    (NOTHING, "554 [TSS09] All messages from 192.0.2.1 will be permanently deferred"),
    (NOTHING, "550 5.2.1 Message considered to be spam"),
    (NOTHING, "550 5.7.1 Email cannot be delivered. Reason: Email detected as Spam by filters."),
    (NOTHING, "551 Server access forbidden by invalid RDNS record of your mail server"),
    (NOTHING, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]"),
    (NOTHING, "450 4.1.1 blocked using bl.spamcop.net"),
    # Policy, sender, size, the system.
    (NOTHING, "554 5.7.1 <joe@example.org>: Recipient address rejected: Access denied"),
    (NOTHING, "550 5.7.1 Unable to relay"),
    (NOTHING, "550 5.4.1 Relay Access Denied"),
    (NOTHING, "550 5.7.26 This message does not have authentication information"),
    (NOTHING, "550 5.7.13 user unknown"),  # a definite policy
    (NOTHING, "554 5.3.0 Recipient address rejected: Internal system error"),
    (NOTHING, "550 5.7.1 Daily SMTP relay limit exceeded for user"),
    (NOTHING, "552 5.3.4 Message size exceeds fixed limit"),
    (NOTHING, "552 5.2.3 Message length exceeds administrative limit"),
]


# Mailboxes that nobody has used for long.
UNUSED = [
    "This mailbox has been blocked due to inactivity",
    "User account blocked for inactivity",
    "Account blocked: it was not used for a year",
    "Blocked because of inactive account",
    "Due to inactivity this mailbox has been blocked",
    "Mailbox disabled due to inactivity",
    "The account is suspended: inactive for 180 days",
    "Mailbox over 180 days inactive",
    "The account has been deactivated because of inactivity",
    "Postfach wegen Inaktivität gesperrt",
    "Das Konto wurde wegen Inaktivität deaktiviert",
    "Boîte bloquée pour inactivité",
    "Compte désactivé pour cause d'inactivité",
    "Casella bloccata per inattività",
    "Buzón bloqueado por inactividad",
    "Cuenta desactivada por inactividad",
    "Caixa bloqueada por inatividade",
    "Postvak geblokkeerd wegens inactiviteit",
    "Konto zablokowane z powodu nieaktywności",
    "Hesap hareketsizlik nedeniyle engellendi",
    "Почтовый ящик заблокирован из-за неактивности",
    "邮箱因长期未使用被冻结",
    "メールボックスは休止のためブロックされました",
    "비활성으로 차단된 계정",
]


@pytest.mark.parametrize("text", UNUSED)
def test_a_mailbox_that_is_blocked_as_nobody_uses_it_is_disabled(text: str) -> None:
    """By the rules for disabled mailboxes: `blocked` is not about the sender here."""
    for status in ("5.2.1 ", "5.0.0 ", ""):
        refusal = refused(Attempt(Phase.RCPT, 550, f"{status}{text}"))
        assert refusal
        assert refusal[0] is HARD
    assert kind_of(450, "4.2.1", text) is SOFT
    assert kind_of(550, "5.2.1", f"{text}, temporarily") is SOFT
    for blame in ("listed by spamhaus", "the message is spam", "your IP is blocked"):
        assert kind_of(550, "5.2.1", f"{text}; {blame}") is not HARD


@pytest.mark.parametrize(
    "text",
    [
        "Your IP was blocked due to inactivity of the account",
        "Server blocked: inactive",
        "Message blocked",
        "This mailbox is blocked",
        "User is inactive. Message blocked",
        "The connection of the user was closed for inactivity",
        "Your account has been blocked due to inactivity. Log in to reactivate it",
        "Your SMTP user has not been used for 90 days and is blocked",
        "Sending blocked: account not used for 90 days",
        "Trial account blocked, no recent activity",
        "Blocked: the account has not logged in; POP before SMTP required",
    ],
)
def test_inactivity_of_something_else_disables_no_mailbox(text: str) -> None:
    assert kind_of(550, "5.7.1", text) is None


# Domains and hosts, in the reply to RCPT.
DOMAINS = [
    (HARD, "550 Domain not found"),
    (HARD, "550 Recipient domain does not exist"),
    (HARD, "550 Invalid domain"),
    (HARD, "550 Unrouteable domain"),
    (HARD, "550 Unknown host or domain"),
    (HARD, "550 5.1.2 Bad destination host"),
    (HARD, "550 Host of the recipient not found"),
    (HARD, "550 Your message came back: domain not found"),
    (HARD, "550 Domain not found, contact your postmaster"),
    # ... of nobody in particular
    (SOFT, "550 Unknown host"),
    (SOFT, "550 Host not found"),
    # ... of the sender, or in the message
    (NOTHING, "550 Your host name is unknown"),
    (NOTHING, "550 Your mail server's domain does not exist"),
    (NOTHING, "550 unresolvable hostname: host not found"),
    (NOTHING, "550 HELO domain does not exist"),
    (NOTHING, "550 Domain in EHLO not found"),
    (NOTHING, "550 Sender domain does not exist"),
    (NOTHING, "550 Unknown domain in MAIL FROM"),
    (NOTHING, "550 Client host unknown"),
    (NOTHING, "550 5.7.1 The domain of the link does not exist"),
    (NOTHING, "550 Unknown domain in From: header"),
]


@pytest.mark.parametrize(("kind", "reply"), DOMAINS)
def test_a_domain_is_the_recipients_if_no_other_is_named(
    kind: BounceKind | None, reply: str
) -> None:
    refusal = refused(Attempt(Phase.RCPT, int(reply[:3]), reply[4:]))
    assert (refusal and refusal[0]) is kind


@pytest.mark.parametrize("phase", [Phase.DATA, Phase.BODY])
@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        (HARD, "550 5.1.1 User unknown"),
        (HARD, "550 User unknown"),
        (HARD, "554 delivery error: dd Not a valid recipient - atlas1.free.mail.ne1.yahoo.com"),
        (HARD, "550 5.1.2 Domain not found"),  # the status says it
        (SOFT, "552 Mailbox limit exceeded for this email address"),
        (NOTHING, "550 Domain not found"),
        (NOTHING, "550 5.7.1 The domain of the link does not exist"),
        (NOTHING, "550 Message contains an invalid domain name"),
        (NOTHING, "550 Message rejected, unknown domain in link"),
        (NOTHING, "554 Message rejected: invalid domain in Message-ID"),
        (NOTHING, "550 5.0.0 A host in the mail is unknown"),
        (NOTHING, "550 No MX record"),
        (NOTHING, "550 Message contains an invalid email address"),
        (NOTHING, "550 Unknown address in the body"),
        (NOTHING, "550 Reply-To address does not exist"),
    ],
)
def test_the_refusal_of_a_message_speaks_of_domains_in_it(
    kind: BounceKind | None, reply: str, phase: Phase
) -> None:
    refusal = refused(Attempt(phase, int(reply[:3]), reply[4:]))
    assert (refusal and refusal[0]) is kind


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        (HARD, "5.4.4", "Host or domain name not found. Name service error for name=x type=A"),
        (HARD, "", "all relevant MX records point to non-existent hosts"),
        (HARD, "5.0.0", "Unknown host"),
        (HARD, "5.0.0", "the domain does not exist"),
        (NOTHING, "5.7.1", "550 5.7.1 The domain of the link does not exist"),
        (NOTHING, "5.0.0", "550 unknown domain (in reply to end of DATA command)"),
    ],
)
def test_a_report_about_a_domain_is_about_the_recipients_if_no_other_is_named(
    kind: BounceKind | None, status: str, text: str
) -> None:
    assert kind_of(None, status, text) is kind


@pytest.mark.parametrize(("kind", "reply"), REPLIES)
def test_replies_to_rcpt_have_a_kind(kind: BounceKind | None, reply: str) -> None:
    refusal = refused(Attempt(Phase.RCPT, int(reply[:3]), reply[4:]))
    assert (refusal and refusal[0]) is kind


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("550 5.1.1 no such user", 550, "5.1.1"),
        ("550-5.1.1 no such\n550 5.1.1 user", 550, "5.1.1"),
        ("550 sorry (#5.1.1)", 550, "5.1.1"),
        ("450 sorry 5.1.1", 450, ""),  # of another class
        ("host a[192.0.2.1] said: 552 5.2.2 full (in reply to RCPT TO command)", 552, "5.2.2"),
        ("550 5.1.351 returned -> 550 5.7.1 blocked", 550, "5.7.1"),
        ("550 5.1.351 returned -> something", 550, "5.1.351"),
        ("5.1.0 - Unknown address error 550-'5.7.1 denied'", 550, "5.7.1"),
        ("from 192.0.2.1 at 10.5.1.1", None, ""),
        ("user unknown", None, ""),
        ("", None, ""),
    ],
)
def test_the_reply_of_the_refusing_server_is_found(
    text: str, code: int | None, status: str
) -> None:
    assert own_reply(text) == OwnReply(code, status)


@pytest.mark.parametrize(
    "text",
    [
        "<blocked.user.unknown@spam.example.org>: rejected",
        "host spamfilter.example.org[192.0.2.1] rejected",
        "see https://example.org/user/unknown/spam",
    ],
)
def test_addresses_links_and_machines_do_not_count_as_words(text: str) -> None:
    assert not topics(text)


_CODES = (None, 550, 553, 554)
_STATUSES = ("5.1.1", "5.1.10", "5.2.1", "5.0.0", "5.7.1", "5.4.1", "")
_NOBODY = ("user unknown", "no such user", "mailbox not found", "rejected", "address rejected")
_CONTRADICTIONS = (
    "blocked by spamhaus",
    "mailbox full",
    "552 5.2.2",
    "550 5.7.26 rejected",
    "4.2.1",
    "temporarily",
)


def test_a_contradictory_reply_is_never_hard() -> None:
    for code, status, nobody, contradiction in product(_CODES, _STATUSES, _NOBODY, _CONTRADICTIONS):
        for words in (f"{nobody}; {contradiction}", f"{contradiction}; {nobody}"):
            assert kind_of(code, status, words) is not HARD, (code, status, words)
