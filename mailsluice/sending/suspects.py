"""Whether a refusal that speaks of the connection is really about one recipient. Pure.

"Relaying denied" or "sender rejected" in answer to RCPT should be the same for everybody, and then
the connection is down. But some servers say it about a single address; that one must not take the
connection down, nor stop it again at every retry. So such recipients wait aside: the next message
that is accepted clears the connection, and they have failed; a few in a row, or nothing accepted
after them, and it is the connection.
"""

from __future__ import annotations

from mailsluice.outbox import Claimed
from mailsluice.outcome import Attempt, Phase

_IN_A_ROW = 3
_NAMES_NO_RECIPIENT = frozenset((Phase.CONNECT, Phase.TLS, Phase.LOGIN, Phase.MAIL))


class Suspects:
    """Refused recipients of one connection, about whom it is not decided yet."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Claimed, Attempt]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, row: Claimed, attempt: Attempt) -> None:
        """Set a recipient aside."""
        self._waiting.append((row, attempt))

    @property
    def connection_is_down(self) -> bool:
        """Whether these are so many, or so plainly not about a recipient, that it is."""
        return len(self._waiting) >= _IN_A_ROW or self.last.phase in _NAMES_NO_RECIPIENT

    @property
    def last(self) -> Attempt:
        """The latest refusal."""
        return self._waiting[-1][1]

    def clear(self) -> list[tuple[Claimed, Attempt]]:
        """It is decided: gives all of them, and begins anew."""
        waiting, self._waiting = self._waiting, []
        return waiting
