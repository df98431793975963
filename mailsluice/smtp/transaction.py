"""Outcome of a transaction by the replies to MAIL, RCPT and DATA (RFC 5321 section 3.3).

The replies of a batch are judged as a whole, because nothing but their order says which command
each answers. Only DATA is answered with 354, so one at its place, and at no other, shows that all
replies before it are in step. Where DATA is refused, the reply to the RSET behind it shows that:
had a reply been lost or added before, RSET's place would hold 354 or a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.commands import DOT, RSET
from mailsluice.smtp.link import SERVICE_CLOSING, Fault
from mailsluice.smtp.replies import Reply
from mailsluice.smtp.session import OutOfStepError

OPENING = (Phase.MAIL, Phase.RCPT, Phase.DATA)
START_INPUT = 354
_ALL_WELL = [250, 250, START_INPUT]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The transaction did not open."""

    attempt: Attempt
    undo: bytes | None
    """What ends it on the server, with one reply; None where only dropping the link is safe."""


def opening(replies: Sequence[Reply], fault: Fault) -> Refusal | None:
    """Read the replies to MAIL, RCPT and DATA sent in one go (RFC 2920); None: send the body.

    Fewer than three replies mean that the link is over, `fault` says why. Raises OutOfStepError
    where they cannot be the answers to these commands.
    """
    codes = [reply.code for reply in replies]
    if codes == _ALL_WELL:  # nearly always
        return None
    check_opening(replies)
    if len(replies) < len(OPENING) and (fault.is_silence or was_idle_for_too_long(replies)):
        return Refusal(unanswered(replies, fault), None)
    for phase, reply in zip(OPENING, replies, strict=False):
        if not is_positive(phase, reply):
            return Refusal(Attempt(phase, reply.code, reply.text), _undo(codes))
    if len(replies) == len(OPENING):
        return None
    return Refusal(lost(OPENING[len(replies)], fault), None)


def is_positive(phase: Phase, reply: Reply) -> bool:
    """Whether this reply to MAIL, RCPT or DATA lets the transaction go on."""
    return reply.code == START_INPUT if phase is Phase.DATA else reply.code < 300


def check_opening(replies: Sequence[Reply]) -> None:
    """Raise OutOfStepError where these cannot be the replies to MAIL, RCPT and DATA, or the first
    of them.
    """
    is_closing = False
    for phase, reply in zip(OPENING, replies, strict=False):
        code = reply.code
        if phase is Phase.DATA:
            is_possible = code == START_INPUT or code >= 400
        else:
            is_possible = not 300 <= code < 400
        if code < 400:  # nobody grants RCPT behind a refused MAIL, nor anything behind a 421
            is_behind_refusal = phase is Phase.RCPT and replies[0].code >= 400
            is_possible &= not (is_closing or is_behind_refusal)
        if not is_possible:
            codes = " ".join(str(one.code) for one in replies)
            raise OutOfStepError(phase, f"{codes} cannot answer MAIL, RCPT and DATA")
        is_closing |= code == SERVICE_CLOSING


def was_idle_for_too_long(replies: Sequence[Reply]) -> bool:
    """Whether the server has ended the session before it read MAIL: it says so, and closes."""
    codes = [reply.code for reply in replies]
    return len(codes) == 1 and 400 <= codes[0] < 500 and codes[0] != SERVICE_CLOSING


def unanswered(replies: Sequence[Reply], fault: Fault) -> Attempt:
    """The link ended before the transaction's replies were all there; none of them counts."""
    if len(replies) == 1 and not fault.is_silence:
        text = f"the server ended the session: {replies[0].code} {replies[0].text}"
        return Attempt(Phase.MAIL, None, text)
    return lost(OPENING[len(replies)], fault)


def lost(phase: Phase, fault: Fault) -> Attempt:
    """The link ended while the reply to this phase was due.

    A reply that nobody had asked for counts where it can only be about this: 421 always, and a
    refusal in the middle of a body.
    """
    reply = fault.reply
    if reply is None:
        return Attempt(phase, None, fault.text, cause=fault.cause)
    if reply.code == SERVICE_CLOSING or (phase is Phase.DATA and reply.code >= 400):
        return Attempt(phase, reply.code, reply.text)
    return Attempt(phase, None, f"{fault.text}: {reply.code} {reply.text}")


def _undo(codes: Sequence[int]) -> bytes | None:
    """How to get back to a server without a transaction.

    A server may answer 354 although it refused the recipient; it then waits for a body, and gets an
    empty one that goes to nobody (RFC 2920 section 3.1). With a recipient accepted it would go to
    somebody: never that.
    """
    if len(codes) < len(OPENING) or SERVICE_CLOSING in codes:
        return None
    return DOT if codes[-1] == START_INPUT else RSET
