"""Tell how many messages could start soon, without giving starts out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mailsluice.limits.granting import give_out
from mailsluice.limits.limits import Rules
from mailsluice.limits.usage import Usage


def room(shared: Sequence[tuple[Usage, Rules]], now: float, seconds: float, most: int) -> int:
    """Return how many messages, at most `most`, all these rules let start within `seconds`.

    Messages that have been given a start take their part of the room. The usages are changed: pass
    copies.
    """
    bound = [(usage, rules) for usage, rules in shared if rules]
    if not bound or most <= 0:
        return max(0, most)
    for usage, rules in bound:
        usage.settle(now, rules)
        usage.expire(now, rules)
    moments, _ = give_out(bound, now, now + seconds, most)
    return len(moments)
