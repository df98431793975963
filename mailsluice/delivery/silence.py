"""How long a lease has not been renewed, by the steady clock, which cannot be set. Pure."""

from __future__ import annotations

from collections.abc import Hashable


class Silence:
    """Remembers when each holder's lease was last seen to change.

    A living holder renews its lease three times before the lease expires. So a holder whose lease
    has not changed for as long as a lease holds is dead, whatever the database's clock says.
    """

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[float, float]] = {}

    def seconds(self, holder: Hashable, lease_until: float, now: float) -> float | None:
        """How long the holder's lease has been unchanged; None: it is new or was renewed.

        `lease_until` is stored, so jumps of the database's clock do not change it; `now` is by the
        steady clock.
        """
        before = self._seen.get(holder)
        if before and before[0] == lease_until:
            return now - before[1]
        self._seen[holder] = (lease_until, now)
        return None
