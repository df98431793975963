"""The mailbox providers whose mail waits while that to others goes on."""

from __future__ import annotations

import math
from typing import NamedTuple

from mailsluice.delivery.lane import Lane
from mailsluice.delivery.slowdown import Slowdown
from mailsluice.limits import Bound, Hold, Limit, Pace
from mailsluice.mailbox_providers import title_of


class Wait(NamedTuple):
    """A mailbox provider whose mail waits, with the reason."""

    provider: str
    hold: Hold | None
    """The limit; None: the server has asked for less mail, or the mail has been stopped."""
    until: float
    """The end of the wait; infinity: until somebody decides."""
    asked: str = ""
    """The server's wish for less mail and its age, if that is the reason; else empty."""
    number: int = 0
    """The provider's number in the campaign."""

    def __str__(self) -> str:
        return f"{title_of(self.provider)}, {self._reason}"

    @property
    def _reason(self) -> str:
        if self.hold is None:
            return self.asked or "stopped"
        if isinstance(self.hold.rule, Pace):
            return str(self.hold.rule)
        if not isinstance(self.hold.rule, Limit):
            return f"{self.hold.rule.count:,} a day, warm-up"
        is_campaigns = self.hold.key.startswith("campaign ")
        return str(Bound(self.hold.rule, "the campaign's" if is_campaigns else "the connection's"))


def wait_of(provider: str, lane: Lane, now: float) -> Wait:
    """Tell what a provider's lane waits for; `until` is past where it waits for nothing."""
    if lane.is_held:
        return Wait(provider, None, math.inf, number=lane.number)
    hold, held_until = lane.starts.held() or (None, -math.inf)
    if held_until > lane.slowdown.next_at:
        return Wait(provider, hold, held_until, number=lane.number)
    reason = asked(lane.slowdown, now)
    return Wait(provider, None, lane.slowdown.next_at, reason, lane.number)


def asked(slowdown: Slowdown, now: float) -> str:
    """Say what replies have asked for; empty where they have asked for nothing."""
    if slowdown.since is None:
        return ""
    if slowdown.rests:
        return f"takes no mail for now, next try in {_minutes(slowdown.next_at - now)}"
    pace = slowdown.per_second(now) or 0.0
    return f"asks for less mail for {_minutes(now - slowdown.since)}, now {pace:,.3g} a second"


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60)):,} min"
