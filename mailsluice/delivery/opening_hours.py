"""When mail may be sent at all, by the campaign's sending window."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

from mailsluice.campaign.sending_window import SendingWindow

_LONGEST_SECONDS = 20.0  # the wall clock may be set at any time


def _wall() -> datetime:
    return datetime.now(UTC)


class OpeningHours:
    """A sending window on the steady clock, computed every 20 seconds, not for every message."""

    def __init__(self, window: SendingWindow, wall: Callable[[], datetime] = _wall) -> None:
        self._window = window
        self._wall = wall
        self._opens_at = self._known_until = -math.inf

    def opens_at(self, now: float) -> float:
        """The first moment, `now` or later, at which the window is open."""
        if now >= self._known_until:
            self._update(now)
        return max(now, self._opens_at)

    def _update(self, now: float) -> None:
        wall = self._wall()
        self._opens_at = now + (self._window.opens_at(wall) - wall).total_seconds()
        closes_at = self._window.closes_at(wall)
        self._known_until = now + _LONGEST_SECONDS
        if closes_at and closes_at > wall:
            closes = now + (closes_at - wall).total_seconds()
            self._known_until = min(self._known_until, closes)
