"""How many messages may be under way in one session. Pure; the clock is an argument, in seconds."""

from __future__ import annotations

import math

_QUEUED = 1.5
"""A reply that takes so many times what the quickest one took has waited behind others."""
_FOR_ONE_MORE = 2
"""So many answered make one more: the window grows by half in a round trip."""


class Window:
    """Grows from one message, while more of them make the server's replies come no later.

    Where the way is long a window that fills it takes a round trip to answer, as one message does.
    Where it is short, messages wait at the server instead: more under way would make nothing
    faster, and all of them are in doubt when the link breaks.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._quickest = math.inf
        self._answered = 0
        self.size = 1

    def answered(self, seconds: float) -> None:
        """A message has been taken, so many seconds after it was written."""
        self._quickest = min(self._quickest, seconds)
        if self.size < self._most and seconds <= _QUEUED * self._quickest:
            self._answered += 1
            self.size = 2 + (self._answered - 1) // _FOR_ONE_MORE
