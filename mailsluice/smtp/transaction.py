"""What the replies to MAIL, RCPT and DATA say about a transaction (RFC 5321 section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsluice.outcome import Attempt, Phase
from mailsluice.smtp.commands import DOT, RSET
from mailsluice.smtp.link import SERVICE_CLOSING, Fault
from mailsluice.smtp.replies import Reply

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

    Fewer than three replies mean that the link is over, `fault` says why.
    """
    if [reply.code for reply in replies] == _ALL_WELL:  # nearly always
        return None
    for phase, reply in zip(OPENING, replies, strict=False):
        if not is_positive(phase, reply):
            return Refusal(Attempt(phase, reply.code, reply.text), _undo(replies))
    if len(replies) == len(OPENING):
        return None
    return Refusal(lost(OPENING[len(replies)], fault), None)


def is_positive(phase: Phase, reply: Reply) -> bool:
    """Whether this reply to MAIL, RCPT or DATA lets the transaction go on."""
    return reply.code == START_INPUT if phase is Phase.DATA else reply.code < 300


def lost(phase: Phase, fault: Fault) -> Attempt:
    """The link ended while the reply to this phase was due.

    A reply that nobody had asked for counts where it can only be about this: 421 always, and a
    refusal in the middle of a body.
    """
    reply = fault.reply
    if reply is None:
        return Attempt(phase, None, fault.text)
    if reply.code == SERVICE_CLOSING or (phase is Phase.DATA and reply.code >= 400):
        return Attempt(phase, reply.code, reply.text)
    return Attempt(phase, None, f"{fault.text}: {reply.code} {reply.text}")


def _undo(replies: Sequence[Reply]) -> bytes | None:
    """How to get back to a server without a transaction.

    A server may answer 354 although it refused the recipient; it then waits for a body, and gets an
    empty one that goes to nobody (RFC 2920 section 3.1). With a recipient accepted it would go to
    somebody: never that.
    """
    codes = [reply.code for reply in replies]
    if len(codes) < len(OPENING) or SERVICE_CLOSING in codes:
        return None
    mail, rcpt, data = codes
    if data == START_INPUT:
        return DOT if rcpt >= 400 else None
    in_step = all(code < 300 or code >= 400 for code in (mail, rcpt)) and data >= 400
    return RSET if in_step else None
