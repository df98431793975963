"""The database's clock, as a process without a common clock can know it. Pure."""

from __future__ import annotations

import math

_DRIFT = 5e-4  # how fast two clocks may part: what NTP slews at most
_RESOLUTION_SECONDS = 1e-3  # SQLite tells whole milliseconds


class DatabaseClock:
    """Bounds for the difference between the database's clock and a local monotonic one.

    Each look at the database's clock lies between two looks at the local one; all of them together
    bound it closely (Marzullo, Owicki, "Maintaining the Time in a Distributed System", 1985).
    """

    def __init__(self) -> None:
        self._low, self._high = -math.inf, math.inf
        self._at = 0.0
        """The local moment for which they hold; they part from there."""

    @property
    def is_known(self) -> bool:
        """Whether there was a look at the database's clock."""
        return self._high < math.inf

    def seen(self, database: float, before: float, after: float) -> None:
        """The database said this time, at a moment between these two local ones."""
        drift = _DRIFT * (after - before)
        low, high = database - after - drift, database + _RESOLUTION_SECONDS - before + drift
        drift = _DRIFT * (after - self._at)
        self._low, self._high = max(low, self._low - drift), min(high, self._high + drift)
        self._at = after
        if self._low > self._high:  # one of the clocks was set
            self._low, self._high = low, high

    def to_local(self, database: float) -> float:
        """A local moment that is not before this one of the database."""
        local = database - self._low
        return local + self._drift(local)

    def to_database(self, local: float) -> float:
        """A moment of the database that is not before this local one."""
        return local + self._high + self._drift(local)

    def until(self, database: float) -> float:
        """A local moment that is not after this one of the database."""
        local = database - self._high
        return local - self._drift(local)

    def _drift(self, local: float) -> float:
        return _DRIFT * abs(local - self._at)
