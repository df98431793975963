"""A transaction with BDAT: what goes out, and what its replies say (RFC 3030)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsluice.envelope import Envelope
from mailsluice.outcome import Attempt, Phase
from mailsluice.smtp.commands import RSET, Offer, chunk, mail, rcpt
from mailsluice.smtp.link import SERVICE_CLOSING, Fault
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.transaction import lost

PHASES = (Phase.MAIL, Phase.MAIL, Phase.RCPT, Phase.BODY)
"""What the replies to RSET, MAIL, RCPT and BDAT are about."""
_NOT_UNDERSTOOD = range(500, 505)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a transaction ended."""

    attempt: Attempt
    end: Attempt | None = None
    """Why the session cannot go on, where it cannot."""


def transaction(envelope: Envelope, offer: Offer) -> bytes:
    """All of it. RSET comes first: whatever became of the one before, it does not reach in here."""
    return RSET + mail(envelope, offer) + rcpt(envelope) + chunk(envelope.content)


def conclusion(replies: Sequence[Reply], fault: Fault, *, is_complete: bool) -> Conclusion:
    """Read the replies; fewer than four mean that the link is over, and `fault` says why.

    `is_complete`: the last byte of the message may be out.
    """
    if len(replies) < len(PHASES):
        attempt = _refused(replies) or _unanswered(len(replies), fault, is_complete)
        return Conclusion(attempt, attempt)
    attempt = _answered(replies)
    if attempt.phase is Phase.BODY and attempt.code in _NOT_UNDERSTOOD:
        attempt = _not_understood(replies[-1])
        return Conclusion(attempt, attempt)
    is_closing = any(reply.code == SERVICE_CLOSING for reply in replies)
    return Conclusion(attempt, attempt if is_closing else None)


def _answered(replies: Sequence[Reply]) -> Attempt:
    """Taken over where the recipient and the message were; else the first refusal counts."""
    *_, recipient, body = replies
    if recipient.code < 300 and body.code < 300:
        return Attempt(Phase.BODY, body.code, body.text)
    return _first_refusal(replies)


def _refused(replies: Sequence[Reply]) -> Attempt | None:
    """A refusal that holds without the reply to BDAT: nothing contradicts it."""
    if len(replies) < 2 or replies[-1].code < 400:
        return None
    return _first_refusal(replies)


def _first_refusal(replies: Sequence[Reply]) -> Attempt:
    return next(
        Attempt(phase, reply.code, reply.text)
        for phase, reply in zip(PHASES[1:], replies[1:], strict=False)
        if reply.code >= 400
    )


def _unanswered(count: int, fault: Fault, is_complete: bool) -> Attempt:
    """The link ended first. Behind a 421 a server does nothing any more (RFC 5321 section 3.8)."""
    is_closing = fault.reply is not None and fault.reply.code == SERVICE_CLOSING
    if is_complete and not is_closing:
        return lost(Phase.BODY, fault)
    phase = PHASES[count]
    return lost(Phase.DATA if phase is Phase.BODY else phase, fault)


def _not_understood(reply: Reply) -> Attempt:
    """The server's shortcoming, not the message's."""
    text = (
        f"the server offers CHUNKING, but answers BDAT with {reply.code} {reply.text}: set"
        " messages_in_flight to 1"
    )
    return Attempt(Phase.DATA, None, text)
