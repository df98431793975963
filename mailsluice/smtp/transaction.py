"""Judge the replies to MAIL, RCPT and DATA (RFC 5321 section 3.3). Pure.

The replies of a batch are judged together, because only their order tells which command each of
them answers. Only DATA is answered with 354. So a 354 in DATA's place, and in no other, shows that
all replies before it are in step. If DATA is refused, the reply to the RSET after it shows that: if
a reply were missing or surplus, RSET's place would hold 354 or a refusal.
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
    """The failure of opening a transaction."""

    attempt: Attempt
    undo: bytes | None
    """A command that ends the transaction on the server; None if only dropping the link is safe."""


def opening(replies: Sequence[Reply], fault: Fault) -> Refusal | None:
    """Judge the replies to MAIL, RCPT and DATA that were sent together; None: send the body.

    Args:
        replies: The replies (RFC 2920); fewer than three mean that the link has ended.
        fault: The reason for which the link has ended, if it has.

    Raises:
        OutOfStepError: The replies cannot be the answers to these commands.
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
    """Whether a reply to MAIL, RCPT or DATA lets the transaction continue."""
    return reply.code == START_INPUT if phase is Phase.DATA else reply.code < 300


def check_opening(replies: Sequence[Reply]) -> None:
    """Raise OutOfStepError if these cannot be the replies, or first replies, to these commands."""
    is_closing = False
    for phase, reply in zip(OPENING, replies, strict=False):
        code = reply.code
        if phase is Phase.DATA:
            is_possible = code == START_INPUT or code >= 400
        else:
            is_possible = not 300 <= code < 400
        if code < 400:  # no server grants RCPT after a refused MAIL, or anything after a 421
            is_after_refusal = phase is Phase.RCPT and replies[0].code >= 400
            is_possible &= not (is_closing or is_after_refusal)
        if not is_possible:
            codes = " ".join(str(answer.code) for answer in replies)
            raise OutOfStepError(phase, f"{codes} cannot answer MAIL, RCPT and DATA")
        is_closing |= code == SERVICE_CLOSING


def was_idle_for_too_long(replies: Sequence[Reply]) -> bool:
    """Whether the server ended the session before it read MAIL, with a single 4xx."""
    codes = [reply.code for reply in replies]
    return len(codes) == 1 and 400 <= codes[0] < 500 and codes[0] != SERVICE_CLOSING


def unanswered(replies: Sequence[Reply], fault: Fault) -> Attempt:
    """Return the attempt for a link that ended before all replies came; none of them counts."""
    if len(replies) == 1 and not fault.is_silence:
        text = f"the server ended the session: {replies[0].code} {replies[0].text}"
        return Attempt(Phase.MAIL, None, text)
    return lost(OPENING[len(replies)], fault)


def lost(phase: Phase, fault: Fault) -> Attempt:
    """Return the attempt for a link that ended while the reply to this phase was due.

    A reply to no command counts if it can only be about this phase: a 421 always does, and a
    refusal in the middle of a body.
    """
    reply = fault.reply
    if reply is None:
        return Attempt(phase, None, fault.text, cause=fault.cause)
    if reply.code == SERVICE_CLOSING or (phase is Phase.DATA and reply.code >= 400):
        return Attempt(phase, reply.code, reply.text)
    return Attempt(phase, None, f"{fault.text}: {reply.code} {reply.text}")


def _undo(codes: Sequence[int]) -> bytes | None:
    """Return the command that ends a transaction on the server.

    A server may answer 354 although it refused the recipient. It then waits for a body, and gets an
    empty one that goes to nobody (RFC 2920 section 3.1). If the recipient was accepted, an empty
    message would reach somebody, so then the result is never a dot.
    """
    if len(codes) < len(OPENING) or SERVICE_CLOSING in codes:
        return None
    return DOT if codes[-1] == START_INPUT else RSET
