"""Decide what a refusal in the SMTP dialogue says about the recipient's address. Pure."""

from __future__ import annotations

from mailsluice.bounces.bounce import BounceKind
from mailsluice.bounces.kinds import kind_of
from mailsluice.bounces.own_reply import own_reply
from mailsluice.core.outcome import Attempt, Phase

_REFUSED = 500


def refused(attempt: Attempt) -> tuple[BounceKind, str] | None:
    """Return the kind and the enhanced status of a refusal that is about the recipient, or None.

    MAIL names only the sender. A reply to RCPT is about the address; a reply to the message (DATA,
    the final dot) is so only if its status or its words say so.
    """
    if attempt.phase not in (Phase.RCPT, Phase.DATA, Phase.BODY) or attempt.code is None:
        return None
    status = own_reply(f"{attempt.code} {attempt.text}").status
    is_vague = not status and attempt.phase is not Phase.RCPT
    kind = kind_of(attempt.code, f"{attempt.code // 100}.0.0" if is_vague else status, attempt.text)
    return None if kind is None else (kind, status)


def is_block(attempt: Attempt) -> bool:
    """Whether a server refused a message because of its sender or its content.

    So this is about neither the recipient nor a fault of this side: the rule by which events of
    providers are blocks, too (`mailsluice.events.failures`).
    """
    is_refusal = attempt.code is not None and attempt.code >= _REFUSED
    return is_refusal and not attempt.refused_here and refused(attempt) is None
