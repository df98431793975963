"""Whether a connection may be tried: a circuit breaker (Nygard, "Release It!").

Closed: sessions are opened, after failures with growing delays. After too many failures in a row it
opens: the connection rests. Then one probe at a time (half open); a success closes it, and after
the last probe has failed it is down for this run. A rest is cut short where the server was found to
answer again (`mailsluice.delivery.probing`). A connection that has never worked in this run is
not probed, unless its server says that it is too busy. Pure: clock and chance are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailsluice.core.outcome import Trouble


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a connection rests, and when it is given up."""

    failures: int = 6
    """Failures in a row, without a message settled in between, until it opens."""
    first_delay_seconds: float = 0.2
    max_delay_seconds: float = 15.0
    rest_seconds: float = 30.0
    """How long an open one rests before a probe; doubles with each failed one."""
    probes: int = 3
    """Failed probes until it is down for this run."""


class Breaker:
    """The state of one connection."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self.has_worked = False
        """Whether the server has dealt with a message in this run."""
        self.failures = 0
        self.retry_at = 0.0
        """Not before this moment may a session be opened."""
        self.trouble = ""
        """The last failure, as it may be told."""
        self.down: str | None = None
        """Why the connection is given up for this run; None while it is not."""
        self._rest_ends: float | None = None
        """Of the rest that `found` has cut short, while nobody knows what comes of it."""
        self._was_found = False
        """Whether this rest was cut short: it is not a second time."""

    @property
    def is_open(self) -> bool:
        """Whether it rests: then one probe at a time."""
        return self.failures >= self._settings.failures

    def rests_until(self, now: float) -> float | None:
        """The end of a rest that may be cut short; None where there is none."""
        rests = self.is_open and not self.down and not self._was_found and now < self.retry_at
        return self.retry_at if rests else None

    def found(self, now: float) -> None:
        """The server answers again: try it now. If that fails, the rest goes on to its end."""
        if ends := self.rests_until(now):
            self._rest_ends, self._was_found, self.retry_at = ends, True, now

    def succeeded(self) -> None:
        """The server dealt with a message: the connection works."""
        self.has_worked = True
        self.failures = 0
        self._rest_ends, self._was_found = None, False

    def failed(self, trouble: Trouble, reason: str, now: float, uniform: float) -> None:
        """A session could not be opened, or broke. `uniform` is a number from 0 to 1.

        Failures within one delay are one: a server that restarts ends all its sessions at once.
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
        self._was_found = False
        probes = self.failures - self._settings.failures
        has_hope = self.has_worked or trouble is Trouble.THROTTLED
        if probes >= (self._settings.probes if has_hope else 0):
            self.down = reason
        self.retry_at = now + self._delay(probes, uniform)

    def _delay(self, probes: int, uniform: float) -> float:
        if probes >= 0:
            return self._settings.rest_seconds * 2.0**probes
        delay = self._settings.first_delay_seconds * 2.0 ** (self.failures - 1)
        return min(delay, self._settings.max_delay_seconds) * (0.5 + uniform / 2)
