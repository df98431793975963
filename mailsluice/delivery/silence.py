"""For how long the holder of a lease has been silent, by a clock that nobody can set. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Silence:
    """Remembers when each holder's lease was last seen to change.

    A holder renews its lease three times before it runs out. So one that leaves it as it is for as
    long as a lease holds is dead, whatever the database's clock says.
    """

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[float, float]] = {}

    def seconds(self, holder: Hashable, lease_until: float, now: float) -> float | None:
        """For how long its lease has been seen unchanged; None: it is new, or was renewed.

        `lease_until` is by the database's clock, whose jumps do not change it; `now` by the own.
        """
        before = self._seen.get(holder)
        if before and before[0] == lease_until:
            return now - before[1]
        self._seen[holder] = (lease_until, now)
        return None
