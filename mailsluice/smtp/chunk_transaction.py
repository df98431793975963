"""A transaction with BDAT: what goes out, and what its replies say (RFC 3030).

All replies of a transaction are alike: 250. So it ends with RSET, which cannot be refused, and its
replies are judged together. With one reply too many somewhere before, RSET's place holds the true
reply to BDAT: so what looks accepted, four times 2xx, was accepted. With one reply missing, RSET's
place holds the reply to the next MAIL, and BDAT's true reply is among the four, unless it is the
missing one. Only the texts tell then: servers word the replies to RSET and MAIL differently
(`Wording`). Where a server words both alike, a lost refusal of BDAT cannot be told from a lost
acceptance.

A refusal of BDAT alone, with all else granted, could be a reply out of nothing, with the true one
in RSET's place. The text of RSET's reply tells, or an EHLO has to.
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
    """How a transaction ended."""

    attempt: Attempt
    end: Attempt | None = None
    """Why the session cannot go on, where it cannot."""
    is_certain: bool = True
    """Whether its replies are in step; else the session has to make sure."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How the server words the replies to MAIL and RSET."""

    mail: bytes
    reset: bytes

    @classmethod
    def of(cls, replies: Sequence[Reply]) -> Self | None:
        """Learn it from a transaction that was accepted; None where RSET's is like another one."""
        *others, reset = (reply.raw for reply in replies)
        return None if reset in others else cls(others[0], reset)


def transaction(envelope: Envelope, offer: Offer) -> bytes:
    """All of it. RSET comes last: whatever becomes of this one, it does not reach into the next."""
    return mail(envelope, offer) + rcpt(envelope) + chunk(envelope.content) + RSET


def conclusion(
    replies: Sequence[Reply],
    fault: Fault,
    *,
    is_complete: bool,
    closing: Reply | None = None,
    wording: Wording | None = None,
) -> Conclusion:
    """Read the replies; fewer than four mean that the link is over, and `fault` says why.

    `is_complete`: the last byte of the message may be out. `closing` is a 421 that the server has
    said, now or before, and behind which it has granted no MAIL. Raises OutOfStepError where the
    replies cannot be the answers to these commands.
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
        if is_accepted and fault.is_silence:  # the missing one may be BDAT's, and this be RSET's
            attempt = Attempt(Phase.BODY, None, fault.text)
        return Conclusion(attempt, attempt)
    is_certain = _is_certain(replies, wording, closing)
    return Conclusion(attempt, _last_word(replies), is_certain)


def _check(replies: Sequence[Reply]) -> None:
    codes = [reply.code for reply in replies]
    is_possible = not any(300 <= code < 400 for code in codes)
    if codes[:1] >= [400]:  # nobody grants RCPT, or takes a message, behind a refused MAIL
        is_possible &= all(code >= 400 for code in codes[1 : BODY + 1])
    if not is_possible:
        shown = " ".join(map(str, codes))
        raise OutOfStepError(Phase.MAIL, f"{shown} cannot answer MAIL, RCPT, BDAT and RSET")


def _is_certain(replies: Sequence[Reply], wording: Wording | None, closing: Reply | None) -> bool:
    """Whether the reply to RSET shows that all are in step; raises OutOfStepError where not."""
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
    """The 421 among them."""
    for phase, reply in zip(PHASES, replies, strict=True):
        if reply.code == SERVICE_CLOSING:
            return Attempt(phase, reply.code, reply.text)
    return None


def _answered(replies: Sequence[Reply]) -> Attempt:
    """Taken over where the recipient and the message were; else the first refusal counts."""
    recipient, body = replies[1], replies[BODY]
    if recipient.code < 300 and body.code < 300:
        return Attempt(Phase.BODY, body.code, body.text)
    return _first_refusal(replies)


def _refused(replies: Sequence[Reply]) -> Attempt | None:
    """A refusal that holds without the reply to BDAT: nothing contradicts it."""
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
    """The link ended first. Behind a 421 a server does nothing any more (RFC 5321 section 3.8)."""
    if is_complete and closing is None:
        return lost(Phase.BODY, fault)
    if closing is not None:
        fault = Fault(fault.text, closing)
    phase = PHASES[count]
    return lost(Phase.DATA if phase is Phase.BODY else phase, fault)


def _not_understood(reply: Reply) -> Attempt:
    """The server's shortcoming, not the message's."""
    text = (
        f"the server offers CHUNKING, but answers BDAT with {reply.code} {reply.text}: set"
        " messages_in_flight to 1"
    )
    return Attempt(Phase.DATA, None, text, cause=LocalCause.BDAT_NOT_UNDERSTOOD)
