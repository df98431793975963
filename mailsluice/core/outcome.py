"""Classify an attempt: its meaning for the recipient, and for the connection.

A pure decision from the phase and the reply, without waiting, reading or writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from mailsluice.core.lazy_pattern import LazyPattern
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
    """The part of the SMTP dialogue in which an attempt ended (RFC 5321 section 3)."""

    CONNECT = "connect"
    """TCP, greeting, EHLO."""
    TLS = "tls"
    """STARTTLS or the TLS handshake, including the certificate."""
    LOGIN = "login"
    """AUTH."""
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """The DATA command, until before the final dot: the server has no message yet."""
    BODY = "body"
    """The final dot may have reached the server."""


class Attempt(NamedTuple):
    """The end of one attempt to deliver a message."""

    phase: Phase
    code: int | None
    """The reply's code; None without a (well-formed) reply."""
    text: str
    """The reply's text, or a description of the failure."""
    refused_here: bool = False
    """Whether Mailsluice itself gave up, since the attempt cannot succeed: the certificate does not
    verify, there is no STARTTLS or SMTPUTF8, or the message exceeds the server's SIZE."""
    cause: LocalCause | None = None
    """The failure, if it is known on this side of the link and no reply tells it."""


class Verdict(StrEnum):
    """The meaning of an attempt for its recipient."""

    ACCEPTED = "accepted"
    """The server accepted the message."""
    DEFERRED = "deferred"
    """Try again later, on the same connection; the attempt counts."""
    FAILED = "failed"
    """Never try again; the attempt counts."""
    UNCERTAIN = "uncertain"
    """The message may or may not have been accepted."""
    UNTOUCHED = "untouched"
    """The connection is at fault, so the recipient is as if never tried."""


class Trouble(StrEnum):
    """The meaning of an attempt for its connection."""

    NONE = "none"
    SESSION = "session"
    """The session is over; open another one, with backoff."""
    THROTTLED = "throttled"
    """The server asks for less mail: slow down."""
    DOWN = "down"
    """The login or the sender is refused, or the certificate is invalid: quarantine at once."""


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
    """A line of a table about attempts; the first line of which all conditions hold decides."""

    phases: frozenset[Phase]
    code: str
    """Pattern of the reply's code; "none" without a reply, "here" if Mailsluice itself gave up."""
    decision: _Decision
    status: str = ".*"
    """Pattern of the enhanced status without its class; "" if there is none (RFC 3463)."""
    words: LazyPattern | None = None
    """Words that the text has to contain."""
    unless: LazyPattern | None = None
    """Words that the text must not contain."""

    def matches(self, phase: Phase, code: str, status: str, text: str) -> bool:
        """Return whether all conditions hold for an attempt."""
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
    # A broken link, a time-out, or a malformed reply.
    Rule(_BODY, "none", UNCERTAIN),
    Rule(_ANY, "none", SESSION),
    Rule(_BODY, "2..", ACCEPTED),
    # 421 is about the service, whichever command it answers. That includes the final dot: a server
    # that accepts the message first says so, with 250 (RFC 5321 sections 3.8 and 4.2.5), so the
    # message was not accepted, and may be sent again at once. 3.x and 4.x mean shutting down, or
    # idle too long; but Exchange uses 4.3.2 and 4.4.2 for too many connections and messages, too.
    Rule(_ANY, "421", THROTTLED, words=LIMIT, unless=GOES_AWAY),
    Rule(_ANY, "421", SESSION, status=r"3\..*|4\.(?!5$).*"),
    Rule(_ANY, "421", THROTTLED),
    # Microsoft 365 answers a fourth session of a mailbox with 432 4.3.2.
    Rule(frozenset((Phase.LOGIN,)), "432", THROTTLED, status=r"3\..*"),
    # 432: the user has to change the password. 454 to STARTTLS: no TLS now, not "less mail".
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
    # "Bad sequence": client and server disagree about the state of the dialogue.
    Rule(_BEFORE_DOT, "503", SESSION),
    # MAIL names the sender and the size, but not the recipient (RFC 1870 section 6.1, RFC 6531).
    Rule(_MAIL, "552", FAILED),
    Rule(_MAIL, "5..", FAILED, status=r"[23]\.[34]|6\.7"),
    Rule(_MAIL, "5..", DOWN),
    Rule(_MAIL, "4..", THROTTLED),
    # These are about this recipient, who may be tried later; the others need not wait.
    Rule(_MESSAGE, "4..", DEFERRED, words=FOR_NOW_OF_THE_RECIPIENT),
    Rule(_MESSAGE, "4..", DEFERRED, status=r"2\.2"),
    # The sender has used up its quota for now; 4.5 is congestion, 5.3 is too many recipients.
    Rule(_MESSAGE, "4..", THROTTLED, words=LIMIT, unless=OF_THE_RECIPIENT),
    Rule(_MESSAGE, "4..", THROTTLED, status=r"4\.5|5\.3"),
    # A policy, or a system that is full or accepts no mail now: try later, and more slowly.
    Rule(_MESSAGE, "4..", DEFERRED_SLOWER, status=r"7\..*|3\.[12]"),
    Rule(_MESSAGE, "4..", DEFERRED),
    Rule(_MESSAGE, "5..", FAILED),
    # A code that is impossible here: the replies are out of step with the commands.
    Rule(_BODY, ".*", UNCERTAIN),
    Rule(_ANY, ".*", SESSION),
)


def classify(attempt: Attempt) -> Outcome:
    """Decide what an attempt means (RFC 5321 section 4.2, RFC 3463).

    A refusal that every recipient would get (login, sender, throttling) is the connection's
    trouble, and leaves the recipient untouched. Only the reply to the final dot can accept a
    message.
    """
    if attempt.phase is Phase.BODY and attempt.code == 250:  # nearly all attempts
        return ACCEPTED
    return decide(_TABLE, attempt)


def is_about_the_recipient(attempt: Attempt) -> bool:
    """Whether a 4xx is about the recipient alone: a greylist, a rate, a full mailbox."""
    words = FOR_NOW_OF_THE_RECIPIENT.search(attempt.text)
    return words is not None or enhanced_status(attempt) == "2.2"


def is_about_a_limit(attempt: Attempt) -> bool:
    """Whether a permanent refusal (5xx) says that the sender has used up its quota for now."""
    is_senders = LIMIT.search(attempt.text) and not OF_THE_RECIPIENT.search(attempt.text)
    return bool(is_senders) and classify(attempt).trouble is Trouble.DOWN


def says_no_such_mailbox(attempt: Attempt) -> bool:
    """Whether the enhanced status says: no such mailbox or domain, or a disabled mailbox."""
    return enhanced_status(attempt) in ("1.1", "1.2", "1.3", "1.6", "1.10", "2.1")


def decide(table: Iterable[Rule[_Decision]], attempt: Attempt) -> _Decision:
    """Return the decision of the first matching rule. The table needs a rule for every attempt."""
    code = "here" if attempt.refused_here else str(attempt.code or "none")
    status = enhanced_status(attempt)
    return next(
        rule.decision for rule in table if rule.matches(attempt.phase, code, status, attempt.text)
    )


def enhanced_status(attempt: Attempt) -> str:
    """Return the enhanced status without its class: "7.1" of "550 5.7.1 ..." (RFC 3463).

    The status may be anywhere in the text: "553 sorry, ... rcpthosts (#5.7.1)". The first status
    with the same class as the reply's code counts; without one, the result is empty.
    """
    reply_class = str(attempt.code)[0]
    matches = _STATUS.finditer(attempt.text)
    return next((match[2] for match in matches if match[1] == reply_class), "")
