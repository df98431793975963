"""How much a lane of a connection slows down after its server has asked for less mail. Pure.

A throttling reply halves the pace, which then doubles every half minute until it is what it was
before the first such reply. A server that takes nothing at all gets nothing for a while, with rests
that double up to a quarter of an hour: a server's hourly or daily limit ends by itself. A slowdown
only adds to the wait for the connection's own limits. The clock is an argument, in seconds.
"""

from __future__ import annotations

import math

_DOUBLES_IN_SECONDS = 30.0
_REACTION_SECONDS = 1.0
"""Throttling replies so soon after a step are to messages that were on their way before it."""
_SHARE = 0.05
"""Where less of the mail since the last step was throttled, single recipients were the cause."""
_LEAST_PER_SECOND = 0.1
_WINDOW_SECONDS = 1.0
_SHORTEST_SECONDS = 0.05
_IDLE_SECONDS = 5.0
_CATCH_UP_SECONDS = 0.05
_LONGEST_REST_SECONDS = 900.0


class Slowdown:
    """The pace of one lane beyond its limits: a connection, or one mailbox provider on it."""

    def __init__(self, limit_per_second: float = math.inf) -> None:
        self.limit_per_second = limit_per_second
        """The pace that the limits allow, which the lane never exceeded."""
        self.since: float | None = None
        """When the server first asked for less mail; None while the pace is normal."""
        self._supposed: float | None = None
        self._count = 0
        self._older = self._newer = (-math.inf, 0)
        """Two moments at least a window apart, each with the messages started until then."""
        self._normal: float | None = None
        """The pace before the first step down; None while the pace is normal."""
        self._pace = math.inf
        self._stepped_at = -math.inf
        self._count_at_step = 0
        self._throttled_since_step = 0
        self.rests = 0
        """Rests since the server last took a message; above 0 only one message is in flight."""
        self._rests_until = -math.inf
        self.next_at = -math.inf
        """The next message may not go before this moment."""

    def started(self, now: float) -> None:
        """Note that a message was started."""
        self._count += 1
        if now - self._newer[0] >= _WINDOW_SECONDS:
            self._sample(now)
        if self._normal is not None:
            self._space(now, self._normal)

    def throttled(self, now: float) -> float | None:
        """Slow down, as the server asks; returns the new pace per second, if it changes."""
        if not self._count and self._supposed is None:
            return None
        self._throttled_since_step += 1
        if now - self._stepped_at < _REACTION_SECONDS:
            return None
        if self._normal is None:
            self._normal = self._pace = min(self.limit_per_second, self.recent(now))
            self.since = now if self.since is None else self.since
        elif self._throttled_since_step < _SHARE * (self._count - self._count_at_step):
            return None
        self._pace = max(_LEAST_PER_SECOND, self._eased(now) / 2)
        self._stepped_at = now
        self._count_at_step, self._throttled_since_step = self._count, 0
        self.hold_until(now + 1 / self._pace)
        return self._pace

    def suppose(self, per_second: float) -> None:
        """Suppose this pace so far, for as long as too few messages were started to measure it."""
        self._supposed = per_second

    @property
    def is_slow(self) -> bool:
        """Whether the pace is held back."""
        return self._normal is not None

    def per_second(self, now: float) -> float | None:
        """The pace; None while it is normal."""
        return None if self._normal is None else self._eased(now)

    def rest(self, now: float, first_seconds: float) -> float | None:
        """Send nothing for a while, as the server takes no mail; longer each time.

        Replies during a rest are to messages that were on their way before it, and change nothing.
        Returns the seconds of a new rest.
        """
        if now < self._rests_until:
            return None
        # The exponent is bounded, so that it cannot overflow after months.
        longest = max(first_seconds, _LONGEST_REST_SECONDS)
        seconds = min(first_seconds * 2.0 ** min(self.rests, 20), longest)
        self.rests += 1
        self.since = now if self.since is None else self.since
        self._rests_until = now + seconds
        self.hold_until(self._rests_until)
        if self._normal is not None:  # the pace recovers after the rest, not during it
            self._stepped_at = self._rests_until
        return seconds

    def accepted(self) -> None:
        """Make the next rest short again, as the server takes mail."""
        if self.rests:
            self.rests = 0
            if self._normal is None:
                self.since = None

    def hold_until(self, moment: float) -> None:
        """Send nothing before this moment."""
        self.next_at = max(self.next_at, moment)

    def _eased(self, now: float) -> float:
        """The pace at a moment, at most the normal one."""
        # The exponent is bounded, so that it cannot overflow after a night without mail.
        steps = min(max(0.0, now - self._stepped_at) / _DOUBLES_IN_SECONDS, 64.0)
        normal = math.inf if self._normal is None else self._normal
        return min(normal, self._pace * math.exp2(steps))

    def _space(self, now: float, normal: float) -> None:
        pace = self._eased(now)
        if pace >= normal:
            self._normal, self._stepped_at, self.next_at = None, -math.inf, -math.inf
            self.since = self.since if self.rests else None
        else:
            self.next_at = max(self.next_at, now - _CATCH_UP_SECONDS) + 1 / pace

    def _sample(self, now: float) -> None:
        idle = now - self._newer[0] > _IDLE_SECONDS
        self._older = (now, self._count - 1) if idle else self._newer
        self._newer = (now, self._count - 1) if idle else (now, self._count)

    def recent(self, now: float) -> float:
        """The recent pace, in messages per second."""
        since, count = self._older
        if self._supposed is not None and not _WINDOW_SECONDS <= now - since < math.inf:
            return self._supposed
        return max(self._count - count, 1) / max(now - since, _SHORTEST_SECONDS)
