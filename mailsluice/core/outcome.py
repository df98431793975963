"""What one attempt says about the recipient, and what it says about the connection.

A pure decision from (phase, reply): nothing here waits, reads or writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.reply_words import (
    ACCOUNT,
    FOR_NOW_OF_THE_RECIPIENT,
    GOES_AWAY,
    LIMIT,
    OF_THE_RECIPIENT,
)

_Decision = TypeVar("_Decision")


class Phase(StrEnum):
    """Where in the SMTP dialogue an attempt ended (RFC 5321 section 3)."""

    CONNECT = "connect"
    """TCP, greeting, EHLO."""
    TLS = "tls"
    """STARTTLS or the TLS handshake, certificate included."""
    LOGIN = "login"
    """AUTH."""
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """The DATA command, up to and without the final dot: the server has no message yet."""
    BODY = "body"
    """The final dot may have reached the server."""


class Attempt(NamedTuple):
    """How one attempt ended."""

    phase: Phase
    code: int | None
    """The reply's code; None where no (well-formed) reply came."""
    text: str
    """The reply's text, or what broke."""
    refused_here: bool = False
    """Given up on our side, because it cannot work as it is: a certificate that does not verify, no
    STARTTLS, a message larger than the server's SIZE, no SMTPUTF8."""
    cause: LocalCause | None = None
    """What broke, where it is known and no reply says it."""


class Verdict(StrEnum):
    """What an attempt means for its recipient."""

    ACCEPTED = "accepted"
    """The server took the message over."""
    DEFERRED = "deferred"
    """Try again later, on the same connection; an attempt is used."""
    FAILED = "failed"
    """Never again; an attempt is used."""
    UNCERTAIN = "uncertain"
    """Nobody can know."""
    UNTOUCHED = "untouched"
    """The connection's trouble: as if it had never been tried."""


class Trouble(StrEnum):
    """What an attempt means for its connection."""

    NONE = "none"
    SESSION = "session"
    """This session is over; open another, with backoff."""
    THROTTLED = "throttled"
    """The server asks for less: slow down."""
    DOWN = "down"
    """It cannot work as it is set up (login, certificate, sender refused): quarantine at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision about one attempt."""

    verdict: Verdict
    trouble: Trouble = Trouble.NONE


ACCEPTED = Outcome(Verdict.ACCEPTED)
DEFERRED = Outcome(Verdict.DEFERRED)
DEFERRED_SLOWER = Outcome(Verdict.DEFERRED, Trouble.THROTTLED)
FAILED = Outcome(Verdict.FAILED)
UNCERTAIN = Outcome(Verdict.UNCERTAIN, Trouble.SESSION)
SESSION = Outcome(Verdict.UNTOUCHED, Trouble.SESSION)
THROTTLED = Outcome(Verdict.UNTOUCHED, Trouble.THROTTLED)
DOWN = Outcome(Verdict.UNTOUCHED, Trouble.DOWN)

_SETUP = frozenset((Phase.CONNECT, Phase.TLS, Phase.LOGIN))
_BEFORE_DOT = frozenset((Phase.MAIL, Phase.RCPT, Phase.DATA))
_BODY = frozenset((Phase.BODY,))
_MAIL = frozenset((Phase.MAIL,))
_MESSAGE = _BEFORE_DOT | _BODY
_ANY = frozenset(Phase)

_SENDERS_STATUS = (
    r"1\.[78]"  # sender's mailbox or domain is wrong (RFC 3463 section 3.2)
    r"|1\.90"  # Exchange: the sender's daily limit
    r"|7\.([89]|1[1-4])"  # credentials, mechanism, encryption, account, trust (RFC 4954, RFC 5248)
    r"|7\.2[0-7]"  # DKIM, SPF, reverse DNS, authentication, null MX of the sender (RFC 7372, 7505)
    r"|7\.(54|57|60|64)"  # relaying, anonymous client, send-as, tenant (Microsoft Exchange)
    r"|7\.23[23]"  # Exchange: the tenant's limit of external recipients
    r"|7\.(50[1-9]|51[1-4]|60[6-9]|6[1-4]\d)"  # Exchange: sender or its IP address banned
    r"|7\.7(0[0-24-9]|[1-4]\d|50)"  # Exchange: tenant blocked; 703 is about the recipient
)
_STATUS = re.compile(r"(?<![\w.])([245])\.(\d{1,3}\.\d{1,3})(?![\w-]|\.\d)")


@dataclass(frozen=True, slots=True)
class Rule(Generic[_Decision]):
    """One line of a table about attempts; the first that matches in full decides."""

    phases: frozenset[Phase]
    code: str
    """Pattern of the reply's code; "none" where no reply came, "here" where we refused."""
    decision: _Decision
    status: str = ".*"
    """Pattern of the enhanced status without its class, "" where there is none (RFC 3463)."""
    words: re.Pattern[str] | None = None
    """Words that the text has to contain."""
    unless: re.Pattern[str] | None = None
    """Words that the text must not contain."""

    def matches(self, phase: Phase, code: str, status: str, text: str) -> bool:
        return (
            phase in self.phases
            and re.fullmatch(self.code, code) is not None
            and re.fullmatch(self.status, status) is not None
            and (self.words is None or self.words.search(text) is not None)
            and (self.unless is None or self.unless.search(text) is None)
        )


_TABLE = (
    Rule(_SETUP, "here", DOWN),
    Rule(_MESSAGE, "here", FAILED),
    # The link broke, a time-out, a malformed reply.
    Rule(_BODY, "none", UNCERTAIN),
    Rule(_ANY, "none", SESSION),
    Rule(_BODY, "2..", ACCEPTED),
    # 421 is about the service, whatever it answers. In answer to the final dot as well: a server
    # that took the message over says so first, with 250 (RFC 5321 sections 3.8 and 4.2.5), so the
    # message was not accepted and may go again at once. 3.x and 4.x: shutting down, idle too long;
    # but Exchange says 4.3.2 and 4.4.2 of too many connections and messages, too.
    Rule(_ANY, "421", THROTTLED, words=LIMIT, unless=GOES_AWAY),
    Rule(_ANY, "421", SESSION, status=r"3\..*|4\.(?!5$).*"),
    Rule(_ANY, "421", THROTTLED),
    # Microsoft 365 answers a fourth session of a mailbox with 432 4.3.2.
    Rule(frozenset((Phase.LOGIN,)), "432", THROTTLED, status=r"3\..*"),
    # 432: the user has to change the password. 454 to STARTTLS: no TLS for now, not "less mail".
    Rule(frozenset((Phase.LOGIN,)), "432", DOWN),
    Rule(frozenset((Phase.TLS,)), "4..", SESSION),
    Rule(_SETUP, "4..", THROTTLED),
    Rule(_SETUP, "5..", DOWN),
    Rule(_ANY, "454", THROTTLED),
    # Not logged in, sender refused, not allowed to relay: the same for every recipient.
    Rule(_MESSAGE, "53[0458]", DOWN),
    Rule(_MESSAGE, "5..", DOWN, status=_SENDERS_STATUS),
    Rule(_MESSAGE, "5..", DOWN, words=ACCOUNT),
    # 552, x.1 and x.2 are about the recipient's mailbox.
    Rule(_MESSAGE, "5(?!52)..", DOWN, "(?![12][.]).*", words=LIMIT, unless=OF_THE_RECIPIENT),
    # "Bad sequence": we and the server disagree about where we are.
    Rule(_BEFORE_DOT, "503", SESSION),
    # MAIL names the sender and the size, nothing of the recipient (RFC 1870 section 6.1, RFC 6531).
    Rule(_MAIL, "552", FAILED),
    Rule(_MAIL, "5..", FAILED, status=r"[23]\.[34]|6\.7"),
    Rule(_MAIL, "5..", DOWN),
    Rule(_MAIL, "4..", THROTTLED),
    # About this recipient, who may be tried later; others need not wait.
    Rule(_MESSAGE, "4..", DEFERRED, words=FOR_NOW_OF_THE_RECIPIENT),
    Rule(_MESSAGE, "4..", DEFERRED, status=r"2\.2"),
    # The sender has sent all it may, for now; 4.5 is congestion, 5.3 too many recipients.
    Rule(_MESSAGE, "4..", THROTTLED, words=LIMIT, unless=OF_THE_RECIPIENT),
    Rule(_MESSAGE, "4..", THROTTLED, status=r"4\.5|5\.3"),
    # Policy, or a system that is full or takes no mail for now: later, and less of it.
    Rule(_MESSAGE, "4..", DEFERRED_SLOWER, status=r"7\..*|3\.[12]"),
    Rule(_MESSAGE, "4..", DEFERRED),
    Rule(_MESSAGE, "5..", FAILED),
    # A code that cannot be there: the replies are out of step with the commands.
    Rule(_BODY, ".*", UNCERTAIN),
    Rule(_ANY, ".*", SESSION),
)


def classify(attempt: Attempt) -> Outcome:
    """Decide what an attempt means (RFC 5321 section 4.2, RFC 3463).

    Whatever is the same for every recipient (login, sender, throttling) is the connection's trouble
    and leaves the recipient untouched. Only the reply to the final dot can accept a message.
    """
    if attempt.phase is Phase.BODY and attempt.code == 250:  # nearly all of them
        return ACCEPTED
    return decide(_TABLE, attempt)


def is_about_the_recipient(attempt: Attempt) -> bool:
    """Whether a 4xx is about its recipient alone: a greylist, a rate, a full mailbox."""
    words = FOR_NOW_OF_THE_RECIPIENT.search(attempt.text)
    return words is not None or enhanced_status(attempt) == "2.2"


def is_about_a_limit(attempt: Attempt) -> bool:
    """Whether a refusal for good says that the sender has sent all it may, for now."""
    is_ours = LIMIT.search(attempt.text) and not OF_THE_RECIPIENT.search(attempt.text)
    return bool(is_ours) and classify(attempt).trouble is Trouble.DOWN


def says_no_such_mailbox(attempt: Attempt) -> bool:
    """Whether the enhanced status alone says so: no such mailbox or domain, or it is disabled."""
    return enhanced_status(attempt) in ("1.1", "1.2", "1.3", "1.6", "1.10", "2.1")


def decide(table: Iterable[Rule[_Decision]], attempt: Attempt) -> _Decision:
    """What the first rule says that matches; one of them has to."""
    code = "here" if attempt.refused_here else str(attempt.code or "none")
    status = enhanced_status(attempt)
    return next(
        rule.decision for rule in table if rule.matches(attempt.phase, code, status, attempt.text)
    )


def enhanced_status(attempt: Attempt) -> str:
    """The enhanced status code without its class, such as "7.1" of "550 5.7.1 ..." (RFC 3463).

    It may be anywhere in the text: "553 sorry, ... rcpthosts (#5.7.1)". The first whose class is
    that of the reply's code counts; empty where there is none.
    """
    kind = str(attempt.code)[0]
    return next((one[2] for one in _STATUS.finditer(attempt.text) if one[1] == kind), "")
