"""How long a server that is away is waited for. Pure: the clock is an argument, in seconds."""

from __future__ import annotations

import math

ALONE_SECONDS = 10.0
"""So long the opening of a session waits for the server."""
_FIRST_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.1, 5.0


class Patience:
    """Growing delays between calls, and an end to waiting.

    The first delay is short: a server on SQLite that is busy answers as one that is away.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._since = math.inf
        self.retry_at = -math.inf
        """Not before then is the server asked again."""

    def failed(self, now: float) -> float:
        """A call was not answered; gives the seconds until the next."""
        delay = min(_FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 10), _MAX_RETRY_SECONDS)
        self._failures += 1
        self._since = min(self._since, now)
        self.retry_at = now + delay
        return delay

    def answered(self) -> None:
        """The server is there."""
        self._failures, self._since = 0, math.inf

    def is_over(self, now: float) -> bool:
        """Whether it has been away for so long that sessions are opened without it."""
        return now - self._since >= ALONE_SECONDS
