"""Whether a connection may be tried: a circuit breaker (Nygard, "Release It!").

While the breaker is closed, sessions are opened, with growing delays after failures. After too many
failures in a row the breaker opens, and the connection rests. Then one session at a time is opened
as a probe (half open). A success closes the breaker; when the last probe fails, the connection is
down for this run. A rest ends early when the server answers again (`probing.py`). A connection that
has never worked in this run is not probed, unless its server says that it is too busy; but its
first failure of all never takes it down. A cool-down that the operator has set is kept to its end.
Pure: clock and chance are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailsluice.core.outcome import Trouble
from mailsluice.smtp.connection import Connection


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a connection rests, and when it goes down."""

    failures: int = 6
    """Failures in a row, without a settled message in between, that open the breaker."""
    first_delay_seconds: float = 0.2
    max_delay_seconds: float = 15.0
    rest_seconds: float = 30.0
    """The rest before the first probe; doubles with each failed probe."""
    probes: int = 3
    """Failed probes that take the connection down for this run."""
    is_kept: bool = False
    """Whether a rest goes on although the server answers again."""

    def of(self, connection: Connection) -> BreakerSettings:
        """Return the settings with the cool-down of a connection, where it has one."""
        settings = self
        if connection.cool_down_after is not None:
            settings = replace(settings, failures=connection.cool_down_after)
        if connection.cool_down_seconds is not None:
            seconds = float(connection.cool_down_seconds)
            settings = replace(settings, rest_seconds=seconds, is_kept=True)
        return settings


class Breaker:
    """The circuit breaker of one connection."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.has_worked = False
        """Whether the server has dealt with a message in this run."""
        self.failures = 0
        self.opened_at: float | None = None
        """Since when the connection rests; None while it does not."""
        self.retry_at = 0.0
        """The first moment at which a session may be opened."""
        self.trouble = ""
        """The last failure, for the operator."""
        self.down: str | None = None
        """Why the connection is down for this run; None while it is not."""
        self._rest_ends: float | None = None
        """The end of a rest that `server_answers` cut short, until the next success or failure."""
        self._is_cut_short = False
        """Whether this rest was cut short, which happens once only."""

    @property
    def is_open(self) -> bool:
        """Whether the connection rests, and is then probed with one session at a time."""
        return self.failures >= self.settings.failures

    def rests_until(self, now: float) -> float | None:
        """The end of a rest that may be cut short; None where there is no such rest."""
        may_end = not (self.down or self._is_cut_short or self.settings.is_kept)
        rests = self.is_open and may_end and now < self.retry_at
        return self.retry_at if rests else None

    def server_answers(self, now: float) -> None:
        """Cut the rest short; if the next session fails, the rest goes on to its end."""
        if ends := self.rests_until(now):
            self._rest_ends, self._is_cut_short, self.retry_at = ends, True, now

    def succeeded(self) -> None:
        """Close the breaker: the server dealt with a message."""
        self.has_worked = True
        self.failures = 0
        self.opened_at = None
        self._rest_ends, self._is_cut_short = None, False

    def failed(self, trouble: Trouble, reason: str, now: float, uniform: float) -> None:
        """Note that a session could not be opened, or broke. `uniform` is a number from 0 to 1.

        Failures within one delay count once: a server that restarts ends all sessions together.
        """
        if trouble is Trouble.DOWN:
            self.down = reason
        if self.down or now < self.retry_at:
            return
        self.trouble = reason
        ends, self._rest_ends = self._rest_ends, None
        if ends is not None and now < ends:
            self.retry_at = ends
            return
        self.failures += 1
        if self.is_open and self.opened_at is None:
            self.opened_at = now
        self._is_cut_short = False
        probes = self.failures - self.settings.failures
        has_hope = self.has_worked or trouble is Trouble.THROTTLED
        if probes >= (self.settings.probes if has_hope else 0) and self.failures > 1:
            self.down = reason
        self.retry_at = now + self._delay(probes, uniform)

    def _delay(self, probes: int, uniform: float) -> float:
        if probes >= 0:
            return self.settings.rest_seconds * 2.0**probes
        delay = self.settings.first_delay_seconds * 2.0 ** (self.failures - 1)
        return min(delay, self.settings.max_delay_seconds) * (0.5 + uniform / 2)
