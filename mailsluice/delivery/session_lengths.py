"""Learn after how many messages a server ends a session. Pure.

Some servers (OpenSMTPD, Stalwart) then answer MAIL with 452 or another 4xx, and keep the session
open. That is not a request for less mail: a new session can continue at once.
"""

from __future__ import annotations

from mailsluice.core.outcome import Attempt, Phase, enhanced_status

_SESSION_STATUS = ("5.3", "4.5")
"""Too many recipients, congestion. A message has one recipient, so the session has too many."""


class SessionLengths:
    """The lengths of one connection's sessions, in messages."""

    def __init__(self) -> None:
        self.learnt: int | None = None
        """How many messages the server takes in a session; None: not known."""
        self._last: int | None = None

    def is_spent(self, attempt: Attempt, carried: int, *, is_slow: bool) -> bool:
        """Whether a 4xx in a session that has carried so many messages ends the session.

        Where the connection is slowed down already, only a session of the same length as the last
        one ends; otherwise a server that limits the rate would get new sessions instead of less
        mail. When two sessions end at the same length, later sessions are kept to that length.
        """
        if not carried or not _may_mean_the_session(attempt):
            return False
        if is_slow and carried != self._last:
            return False
        if carried == self._last:
            self.learnt = carried if self.learnt is None else min(self.learnt, carried)
        self._last = carried
        return True


def _may_mean_the_session(attempt: Attempt) -> bool:
    return attempt.phase is Phase.MAIL or enhanced_status(attempt) in _SESSION_STATUS
