"""How much a connection holds back after its server has asked for less. Pure.

A throttling reply halves the pace; from there it doubles in half a minute, until it is what it was
before the first one. A server that takes nothing at all is left alone for a while and tried again,
after waits that double up to a quarter of an hour: a limit an hour or a day ends by itself. Without
a server that asks, nothing here slows anything down, and limits stay what they are: this only ever
adds to a wait. The clock is an argument, in seconds.
"""

from __future__ import annotations

import math

_DOUBLES_IN_SECONDS = 30.0
_REACTION_SECONDS = 1.0
"""Replies so soon after a step are about what was on its way before it."""
_SHARE = 0.05
"""Of the messages since the last step: fewer throttled ones than that are single recipients'."""
_LEAST_PER_SECOND = 0.1
_WINDOW_SECONDS = 1.0
_SHORTEST_SECONDS = 0.05
_IDLE_SECONDS = 5.0
_CATCH_UP_SECONDS = 0.05
_LONGEST_REST_SECONDS = 900.0


class Slowdown:
    """The pace of one connection beyond its limits."""

    def __init__(self, limit_per_second: float = math.inf) -> None:
        self.limit_per_second = limit_per_second
        """What the limits allow: it was never faster than that."""
        self._count = 0
        self._older = self._newer = (-math.inf, 0)
        """Moments at least a window apart, each with the messages started until then."""
        self._normal: float | None = None
        """The pace before the first step down; None while nothing is slowed down."""
        self._pace = math.inf
        self._stepped_at = -math.inf
        self._counted = 0
        self._heard = 0
        self.rests = 0
        """How often it has rested since the server took a message; then one goes at a time."""
        self._rests_until = -math.inf
        self.next_at = -math.inf
        """The next message may not go before this moment."""

    def started(self, now: float) -> None:
        """A message has been started."""
        self._count += 1
        if now - self._newer[0] >= _WINDOW_SECONDS:
            self._sample(now)
        if self._normal is not None:
            self._space(now, self._normal)

    def throttled(self, now: float) -> float | None:
        """The server asks for less. Returns the new pace in messages per second, if it changes."""
        if not self._count:
            return None
        self._heard += 1
        if now - self._stepped_at < _REACTION_SECONDS:
            return None
        if self._normal is None:
            self._normal = self._pace = min(self.limit_per_second, self._recent(now))
        elif self._heard < _SHARE * (self._count - self._counted):
            return None
        self._pace = max(_LEAST_PER_SECOND, self._eased(now) / 2)
        self._stepped_at, self._counted, self._heard = now, self._count, 0
        self.hold_until(now + 1 / self._pace)
        return self._pace

    @property
    def is_slow(self) -> bool:
        """Whether the pace is held back."""
        return self._normal is not None

    def per_second(self, now: float) -> float | None:
        """The pace; None where nothing is slowed down."""
        return None if self._normal is None else self._eased(now)

    def rest(self, now: float, first_seconds: float) -> None:
        """The server takes no mail for now: send nothing for a while, longer each time.

        What it says during a rest is about what was on its way before.
        """
        if now < self._rests_until:
            return
        # 2 ** 20 times any first wait is beyond the longest: no overflow after months.
        seconds = min(first_seconds * 2.0 ** min(self.rests, 20), _LONGEST_REST_SECONDS)
        self.rests += 1
        self._rests_until = now + seconds
        self.hold_until(self._rests_until)

    def accepted(self) -> None:
        """The server takes mail: the next rest is a short one again."""
        self.rests = 0

    def hold_until(self, moment: float) -> None:
        """Send nothing before this moment."""
        self.next_at = max(self.next_at, moment)

    def _eased(self, now: float) -> float:
        if self._stepped_at == -math.inf:
            return self._pace
        return self._pace * math.exp2((now - self._stepped_at) / _DOUBLES_IN_SECONDS)

    def _space(self, now: float, normal: float) -> None:
        pace = self._eased(now)
        if pace >= normal:
            self._normal, self._stepped_at, self.next_at = None, -math.inf, -math.inf
        else:
            self.next_at = max(self.next_at, now - _CATCH_UP_SECONDS) + 1 / pace

    def _sample(self, now: float) -> None:
        idle = now - self._newer[0] > _IDLE_SECONDS
        self._older = (now, self._count - 1) if idle else self._newer
        self._newer = (now, self._count - 1) if idle else (now, self._count)

    def _recent(self, now: float) -> float:
        """Messages per second, lately."""
        since, count = self._older
        return max(self._count - count, 1) / max(now - since, _SHORTEST_SECONDS)
