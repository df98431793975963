"""Decide what a refusal in the SMTP dialogue says about the recipient's address. Pure."""

from __future__ import annotations

from mailsluice.bounces.bounce import BounceKind
from mailsluice.bounces.kinds import kind_of
from mailsluice.bounces.own_reply import own_reply
from mailsluice.bounces.words import Answer
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.mailbox_providers.blame import Action, rule_of

_FOR_GOOD = 500


def refused(attempt: Attempt) -> tuple[BounceKind, str] | None:
    """Return the kind and the enhanced status of a refusal that is about the recipient, or None.

    MAIL names only the sender. A reply to RCPT is about the address; a reply to the message (DATA,
    the final dot) is so only if its status or its words say so: not if they speak of a domain,
    since the message has domains of its own.
    """
    if attempt.phase not in (Phase.RCPT, Phase.DATA, Phase.BODY) or attempt.code is None:
        return None
    status = own_reply(f"{attempt.code} {attempt.text}").status
    answer = Answer.RECIPIENT if attempt.phase is Phase.RCPT else Answer.MESSAGE
    is_vague = not status and answer is Answer.MESSAGE
    known = f"{attempt.code // 100}.0.0" if is_vague else status
    kind = kind_of(attempt.code, known, attempt.text, answer)
    return None if kind is None else (kind, status)


def is_block(attempt: Attempt) -> bool:
    """Whether a server refused a message, or put it off, because of its sender or its content.

    A refusal that is not about the recipient is a block, as it is in the events of providers.
    """
    if attempt.code is None or attempt.refused_here:
        return False
    rule = rule_of(attempt.text, attempt.code)
    if rule is not None:
        return rule.action is Action.BLOCK
    return attempt.code >= _FOR_GOOD and refused(attempt) is None
