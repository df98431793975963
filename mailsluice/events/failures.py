"""Decide why a message bounced, from the provider's word and the server's reply. Pure."""

from __future__ import annotations

from mailsluice.bounces import BounceKind, kind_of
from mailsluice.bounces.own_reply import own_reply
from mailsluice.bounces.words import topics
from mailsluice.events.event import FailureKind

_KINDS = {BounceKind.HARD: FailureKind.HARD, BounceKind.SOFT: FailureKind.SOFT}


def failure_of(*, is_permanent: bool, reply: str, status: str = "") -> tuple[FailureKind, str]:
    """Return the kind of a failure, and its enhanced status, which may be empty.

    The reply of the recipient's server counts, or the provider's word if the reply says nothing. A
    failure that the provider calls temporary is never hard. So an address is suppressed only if
    nothing contradicts.

    Args:
        is_permanent: The provider's word.
        reply: The words of the recipient's server, with its code.
        status: The enhanced status that the provider reports (RFC 3463), if any.
    """
    own = own_reply(reply)
    status = own.status or status
    if not status and own.code is None and not topics(reply):
        return (FailureKind.HARD if is_permanent else FailureKind.SOFT), ""
    kind = kind_of(own.code, status, reply)
    failure = _KINDS[kind] if kind else FailureKind.BLOCK
    if failure is FailureKind.HARD and not is_permanent:
        failure = FailureKind.SOFT
    return failure, status
