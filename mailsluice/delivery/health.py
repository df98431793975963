"""The health of one connection: what trouble of its server means for its sessions and its pace."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from mailsluice.core.outcome import Phase, Trouble, Verdict, classify
from mailsluice.delivery.breaker import Breaker, BreakerSettings
from mailsluice.delivery.slowdown import Slowdown
from mailsluice.smtp.session import SessionError

logger = logging.getLogger(__name__)

_CROWDED_SECONDS = 60.0
_SETUP = (Phase.CONNECT, Phase.TLS, Phase.LOGIN)


class ConnectionHealth:
    """Joins the breaker (whether sessions are opened) and the slowdown (how fast they send)."""

    def __init__(
        self,
        connection: str,
        settings: BreakerSettings,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
        troubled: Callable[[], None] = lambda: None,
    ) -> None:
        """`troubled` is called when the connection rests or goes down."""
        self._connection = connection
        self._clock = clock
        self._chance = chance
        self._troubled = troubled
        self._most_sessions = math.inf
        """How many sessions the server is known to take at once."""
        self._crowded_until = -math.inf
        self.breaker = Breaker(settings)
        self.slowdown = Slowdown()

    @property
    def down(self) -> str | None:
        """Why the connection went down in this run; None while it works."""
        return self.breaker.down

    def session_at(self, sessions: int) -> float:
        """When one more session may be opened beside so many; infinity: not beside them."""
        if not sessions:
            return self.breaker.retry_at
        if self.breaker.is_open or sessions > self._most_sessions:
            return math.inf
        if sessions < self._most_sessions:
            return self.breaker.retry_at
        return max(self.breaker.retry_at, self._crowded_until)

    def session_opened(self, sessions: int) -> None:
        """Note that so many sessions are logged in at once."""
        self._most_sessions = max(self._most_sessions, sessions)

    def session_lost(
        self, error: SessionError, sessions: int, *, carried: bool, blames: bool
    ) -> None:
        """Note that one of so many sessions could not be opened, or ended too early.

        The connection has not failed when the server had dealt with a recipient in the session
        (`carried`: servers end sessions that are long or idle), nor when the session broke at a
        recipient that had broken one before (`blames`).
        """
        outcome = classify(error.attempt)
        untouched = outcome.verdict is Verdict.UNTOUCHED and outcome.trouble is not Trouble.DOWN
        if untouched and (carried or blames):
            return
        if untouched and outcome.trouble is Trouble.THROTTLED:
            if error.phase in _SETUP and sessions > 1:  # the server wants fewer
                self._most_sessions = max(1, min(self._most_sessions, sessions - 1))
                seconds = max(_CROWDED_SECONDS, self.breaker.settings.rest_seconds)
                self._crowded_until = self._clock() + seconds
                return
            self.throttled()
        if outcome.trouble is not Trouble.NONE:
            self.failed(outcome.trouble, error)

    def failed(self, trouble: Trouble, reason: SessionError | str) -> None:
        """Note a failure; `reason` is for the operator."""
        was_down = self.down
        self.breaker.failed(trouble, str(reason), self._clock(), self._chance())
        if self.down and not was_down:
            logger.error("connection %s is down: %s", self._connection, self.down)
        if self.down or self.breaker.is_open:
            self._troubled()

    def throttled(self) -> None:
        """Slow down, as the server asks for less mail."""
        pace = self.slowdown.throttled(self._clock())
        if pace is not None:
            logger.warning(
                "connection %s: its server asks for less mail; now %.3g messages per second",
                self._connection,
                pace,
            )

    def takes_nothing(self) -> None:
        """Rest all sessions: the server keeps this one open, but takes no mail for now."""
        self.throttled()
        self.slowdown.rest(self._clock(), self.breaker.settings.first_delay_seconds)

    def refuses_everybody(self, trouble: Trouble, error: SessionError) -> None:
        """Pause all sessions: the server keeps this one open, but refuses every recipient."""
        self.failed(trouble, error)
        self.slowdown.hold_until(self.breaker.retry_at)
