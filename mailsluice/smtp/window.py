"""The number of messages in flight in a session. Pure; the clock is an argument, in seconds."""

from __future__ import annotations

import math

_QUEUED = 1.5
"""A reply that takes so many times as long as the quickest one has waited behind others."""
_FOR_ONE_MORE = 2
"""Answered messages for one more in flight: the window grows by half in a round trip."""


class Window:
    """A window that grows from one message, as long as replies do not come later for it.

    On a link with a long round trip, many messages in flight are answered as fast as one. On a
    short one, further messages would only wait at the server: they make nothing faster, and all of
    them are in doubt when the link breaks.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._quickest = math.inf
        self._answered = 0
        self.size = 1

    def answered(self, seconds: float) -> None:
        """Count a message that was accepted, so many seconds after it was written."""
        self._quickest = min(self._quickest, seconds)
        if self.size < self._most and seconds <= _QUEUED * self._quickest:
            self._answered += 1
            self.size = 2 + (self._answered - 1) // _FOR_ONE_MORE
