"""Observations of one connection while a campaign is sent. Pure."""

from __future__ import annotations

import math

from mailsluice.operations.lending.situation import Condition, Situation
from mailsluice.reports.progress import RecentPace

_NOTICED_SECONDS = 10.0
"""A sender in another process tells within this time that it sends to recipients it received."""


class Observed:
    """The situation of a connection, since when it lasts, and the connection's pace."""

    def __init__(self) -> None:
        self.situation = Situation("", Condition.AWAY, 0, 0)
        self._seen_at = -math.inf
        self._busy_seconds = 0.0
        self._pace = RecentPace()
        self._fit_since = self._bound_since = math.inf
        self._expected, self._expected_until = 0, -math.inf
        """How many recipients will be settled after the last loan, and until when that counts."""

    def see(self, now: float, situation: Situation) -> None:
        """Note the situation at a moment."""
        condition = situation.condition
        if self.ready:
            # Time without recipients tells nothing about the pace. A connection that has run dry
            # in the meantime was faster than what is noted: the next batch, being larger, shows it.
            self._busy_seconds += now - self._seen_at
        self._pace.see(self._busy_seconds, situation.done)
        self._fit_since = min(self._fit_since, now) if condition.has_room else math.inf
        is_bound = condition.may_be_bound and situation.left
        self._bound_since = min(self._bound_since, now) if is_bound else math.inf
        self.situation, self._seen_at = situation, now

    def takes(self, recipients: int) -> None:
        """Note that the connection gets recipients of another one."""
        self._expected = self.situation.done + self.ready + recipients
        self._expected_until = self._seen_at + _NOTICED_SECONDS

    @property
    def ready(self) -> int:
        """Recipients that the connection can send to now or soon."""
        is_new = self._seen_at < self._expected_until
        expected = self._expected - self.situation.done if is_new else 0
        return max(self.situation.ready, expected)

    @property
    def pace(self) -> float | None:
        """Recipients settled a second while there was something to send; None: not known."""
        return self._pace.per_second

    @property
    def seconds_fit(self) -> float:
        """For how long the connection has worked without trouble; negative: not now."""
        return self._seen_at - self._fit_since

    @property
    def seconds_bound(self) -> float:
        """For how long recipients have waited; negative: none waits now."""
        return self._seen_at - self._bound_since

    @property
    def may_wait(self) -> bool:
        """Whether recipients wait, or will, that another connection could send to."""
        return self.situation.left > 0 and self.situation.condition.may_be_bound_later

    @property
    def waiting(self) -> int:
        """Recipients that another connection could send to."""
        return self.situation.left if self.situation.condition.may_be_bound else 0
