"""Estimate the database's clock by a local one. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_Moments = TypeVar("_Moments", float, "npt.NDArray[np.float64]")

_DRIFT = 5e-4  # seconds a second by which two clocks drift apart: the most that NTP slews
RESOLUTION_SECONDS = 1e-3  # SQLite returns whole milliseconds


class DatabaseClock:
    """Bounds of the difference between the database's clock and a local monotonic clock.

    Each reading of the database's clock lies between two readings of the local clock. Together, the
    readings bound the difference closely (Marzullo, Owicki, "Maintaining the Time in a Distributed
    System", 1985). All moments are in seconds.
    """

    def __init__(self) -> None:
        self._low, self._high = -math.inf, math.inf
        self._at = 0.0
        """The local moment for which the bounds hold; from there on the clocks drift apart."""

    @property
    def is_known(self) -> bool:
        """Whether the database's clock has been read."""
        return self._high < math.inf

    def seen(self, database: float, before: float, after: float) -> None:
        """Record that the database's clock showed `database` between two local moments."""
        drift = _DRIFT * (after - before)
        low, high = database - after - drift, database + RESOLUTION_SECONDS - before + drift
        drift = _DRIFT * (after - self._at)
        self._low, self._high = max(low, self._low - drift), min(high, self._high + drift)
        self._at = after
        if self._low > self._high:  # somebody set one of the clocks
            self._low, self._high = low, high

    def to_local(self, database: _Moments) -> _Moments:
        """Return a local moment that is not before this moment of the database, or such moments."""
        local = database - self._low
        return local + self._drift(local)

    def to_database(self, local: _Moments) -> _Moments:
        """Return a moment of the database that is not before this local moment, or such moments."""
        return local + self._high + self._drift(local)

    def since(self, local: _Moments) -> _Moments:
        """Return a moment of the database that is not after this local moment, or such moments."""
        return local + self._low - self._drift(local)

    def until(self, database: float) -> float:
        """Return a local moment that is not after this moment of the database."""
        local = database - self._high
        return local - self._drift(local)

    def _drift(self, local: _Moments) -> _Moments:
        return abs(local - self._at) * _DRIFT
