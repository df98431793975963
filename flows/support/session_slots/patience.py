"""How long to wait for a server that is away. Pure: the clock is an argument, in seconds."""

from __future__ import annotations

import math

ALONE_SECONDS = 10.0
"""How long the opening of a session waits for the server."""
_FIRST_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.1, 5.0


class Patience:
    """Growing delays between calls, and an end to waiting.

    The first delay is short, since a busy server on SQLite looks like one that is away.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._since = math.inf
        self.retry_at = -math.inf
        """The next call is not made before this moment."""

    def failed(self, now: float) -> float:
        """Note that a call was not answered; returns the seconds until the next."""
        delay = min(_FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 10), _MAX_RETRY_SECONDS)
        self._failures += 1
        self._since = min(self._since, now)
        self.retry_at = now + delay
        return delay

    def answered(self) -> None:
        """Note that the server answers."""
        self._failures, self._since = 0, math.inf

    def is_over(self, now: float) -> bool:
        """Whether the server has been away for so long that sessions are opened without slots."""
        return now - self._since >= ALONE_SECONDS
