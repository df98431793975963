"""A transaction with BDAT: its commands, and the meaning of its replies (RFC 3030).

All positive replies of a transaction are alike: 250. So a transaction ends with RSET, which cannot
be refused, and its replies are judged together:

- If the server sends one reply too many before, the place of RSET's reply holds the true reply to
  BDAT. So four replies of 2xx mean that the message was accepted.
- If one reply is missing, the place of RSET's reply holds the reply to the next MAIL, and the true
  reply to BDAT is among the four, unless it is the missing one. Then only the texts tell: servers
  word the replies to RSET and MAIL differently (`Wording`). If a server words both alike, a lost
  refusal of BDAT cannot be told from a lost acceptance.
- If only BDAT is refused, the refusal could be a surplus reply, with the true one in RSET's place.
  The text of RSET's reply tells, or else an EHLO has to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from mailsluice.core.envelope import Envelope
from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.commands import RSET, Offer, chunk, mail, rcpt
from mailsluice.smtp.link import SERVICE_CLOSING, Fault
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import OutOfStepError
from mailsluice.smtp.transaction import lost, unanswered, was_idle_for_too_long

PHASES = (Phase.MAIL, Phase.RCPT, Phase.BODY, Phase.MAIL)
"""Phases of the replies to MAIL, RCPT, BDAT and RSET."""
BODY = PHASES.index(Phase.BODY)
_NOT_UNDERSTOOD = range(500, 505)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The result of a transaction."""

    attempt: Attempt
    end: Attempt | None = None
    """The reason for which the session ends, if it does."""
    is_certain: bool = True
    """Whether the replies are known to be in step with the commands; else the session checks."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The server's words in the replies to MAIL and RSET."""

    mail: bytes
    reset: bytes

    @classmethod
    def of(cls, replies: Sequence[Reply]) -> Self | None:
        """Learn the words from an accepted transaction; None if RSET's reply is not unique."""
        *others, reset = (reply.raw for reply in replies)
        return None if reset in others else cls(others[0], reset)


def transaction(envelope: Envelope, content: bytes, offer: Offer) -> bytes:
    """Return all commands of a transaction; RSET keeps a failure from affecting the next one."""
    return mail(envelope, offer) + rcpt(envelope) + chunk(content) + RSET


def conclusion(
    replies: Sequence[Reply],
    fault: Fault,
    *,
    is_complete: bool,
    closing: Reply | None = None,
    wording: Wording | None = None,
) -> Conclusion:
    """Judge the replies of a transaction.

    Args:
        replies: The replies; fewer than four mean that the link has ended.
        fault: The reason for which the link has ended, if it has.
        is_complete: Whether the last byte of the message may have left.
        closing: A 421 of this or an earlier transaction, if the server granted no MAIL after it.
        wording: The server's words, if they are known.

    Raises:
        OutOfStepError: The replies cannot be the answers to these commands.
    """
    _check(replies)
    if was_idle_for_too_long(replies):
        attempt = unanswered(replies, fault)
        return Conclusion(attempt, attempt)
    if len(replies) <= BODY:
        attempt = _refused(replies) or _unanswered(len(replies), fault, closing, is_complete)
        return Conclusion(attempt, attempt)
    attempt = _answered(replies)
    if attempt.phase is Phase.BODY and attempt.code in _NOT_UNDERSTOOD:
        attempt = _not_understood(replies[BODY])
        return Conclusion(attempt, attempt)
    if len(replies) < len(PHASES):
        is_accepted = attempt.phase is Phase.BODY and replies[BODY].code < 300
        if is_accepted and fault.is_silence:  # BDAT's reply may be missing, and this be RSET's
            attempt = Attempt(Phase.BODY, None, fault.text)
        return Conclusion(attempt, attempt)
    is_certain = _is_certain(replies, wording, closing)
    return Conclusion(attempt, _last_word(replies), is_certain)


def _check(replies: Sequence[Reply]) -> None:
    codes = [reply.code for reply in replies]
    is_possible = not any(300 <= code < 400 for code in codes)
    if codes[:1] >= [400]:  # no server grants RCPT, or accepts a message, after a refused MAIL
        is_possible &= all(code >= 400 for code in codes[1 : BODY + 1])
    if not is_possible:
        shown = " ".join(map(str, codes))
        raise OutOfStepError(Phase.MAIL, f"{shown} cannot answer MAIL, RCPT, BDAT and RSET")


def _is_certain(replies: Sequence[Reply], wording: Wording | None, closing: Reply | None) -> bool:
    """Whether RSET's reply proves the replies in step. Raises OutOfStepError if they are not."""
    *_, recipient, body, reset = replies
    if reset.code >= 300 and closing is None:
        raise OutOfStepError(Phase.MAIL, f"{reset.code} cannot answer RSET")
    if wording is not None and reset.raw == wording.mail:
        raise OutOfStepError(Phase.MAIL, "RSET was answered as if it were MAIL")
    if body.code < 300 and recipient.code < 300:
        return True
    is_refused_twice = body.code >= 400 and (recipient.code >= 400 or replies[0].code >= 400)
    return is_refused_twice or (wording is not None and reset.raw == wording.reset)


def _last_word(replies: Sequence[Reply]) -> Attempt | None:
    """Return the first 421, with which the server ends the session."""
    for phase, reply in zip(PHASES, replies, strict=True):
        if reply.code == SERVICE_CLOSING:
            return Attempt(phase, reply.code, reply.text)
    return None


def _answered(replies: Sequence[Reply]) -> Attempt:
    """Return the acceptance, if recipient and message were accepted; else the first refusal."""
    recipient, body = replies[1], replies[BODY]
    if recipient.code < 300 and body.code < 300:
        return Attempt(Phase.BODY, body.code, body.text)
    return _first_refusal(replies)


def _refused(replies: Sequence[Reply]) -> Attempt | None:
    """Return a refusal that is valid without the reply to BDAT, since nothing contradicts it."""
    if not replies or replies[-1].code < 400:
        return None
    return _first_refusal(replies)


def _first_refusal(replies: Sequence[Reply]) -> Attempt:
    return next(
        Attempt(phase, reply.code, reply.text)
        for phase, reply in zip(PHASES, replies, strict=False)
        if reply.code >= 400
    )


def _unanswered(count: int, fault: Fault, closing: Reply | None, is_complete: bool) -> Attempt:
    """Return the attempt of a transaction in which the link ended before the reply to BDAT.

    After a 421, a server executes no more commands (RFC 5321 section 3.8).
    """
    if is_complete and closing is None:
        return lost(Phase.BODY, fault)
    if closing is not None:
        fault = Fault(fault.text, closing)
    phase = PHASES[count]
    return lost(Phase.DATA if phase is Phase.BODY else phase, fault)


def _not_understood(reply: Reply) -> Attempt:
    """Return the attempt for a refusal that is the server's fault, not the message's."""
    text = (
        f"the server offers CHUNKING, but answers BDAT with {reply.code} {reply.text}: set"
        " messages_in_flight to 1"
    )
    return Attempt(Phase.DATA, None, text, cause=LocalCause.BDAT_NOT_UNDERSTOOD)
