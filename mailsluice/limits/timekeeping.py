"""The time that limits go by, whatever happens to the database's clock. Pure.

Windows are measured in steady time: the database's clock, less how far it has been set since. A
process knows by its own clock, which nobody can set, how much time has passed. So it sees that the
database's clock was set, and records by how much with the limit; all others then measure as it
does. Two rules decide. Where they err, steady time falls behind the true time, so a window holds
too little rather than too much:

- Steady time passes no faster than the process's own clock. So after a jump forward, replies stay
  in their window as long as before. (A process that was paused cannot tell its pause from a jump.
  Where others have confirmed a later moment meanwhile, that one counts.)
- Steady time never falls behind a moment that somebody has confirmed. So after a jump backward
  nothing waits for the clock to come that far again.

A process that looks for the first time has no measure. Its look confirms nothing, unless the last
look was taken on the same machine, by the same clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from mailsluice.limits.clock import DatabaseClock


class Look(NamedTuple):
    """A steady time, read between two moments of a machine's clock."""

    clock: str
    """Its name; empty where it has none."""
    moment: float
    before: float
    after: float


@dataclass(slots=True)
class Timeline:
    """The steady time of one limit, as far as it is stored with it."""

    set_by: float = 0.0
    """How far the database's clock has been set forward since the limit was first used, in
    seconds: its time less steady time."""
    confirmed_at: float = -math.inf
    """The latest moment of steady time that a process with a measure of its own has seen."""
    look: Look | None = None
    """The last one."""

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        confirmed = None if self.confirmed_at == -math.inf else self.confirmed_at
        look = list(self.look) if self.look else None
        return {"set_by": self.set_by, "confirmed_at": confirmed, "look": look}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild the value from the result of `to_json`."""
        confirmed, look = value["confirmed_at"], value["look"]
        return cls(
            value["set_by"],
            -math.inf if confirmed is None else confirmed,
            Look(*look) if look else None,
        )


class Timekeeper:
    """The knowledge of one process about the steady time of the limits that it sends under."""

    def __init__(self, clock: str = "") -> None:
        """`clock` names the one that its looks are between, over all processes that use it."""
        self._clock = clock
        self._known: dict[str, DatabaseClock] = {}

    def look(
        self, key: str, timeline: Timeline, database: float, before: float, after: float
    ) -> float:
        """The database said this time between two moments of the own clock: record it for a limit.

        Returns by how many seconds the database's clock turned out to have been set.
        """
        known = self._known.setdefault(key, DatabaseClock())
        last = timeline.look
        if not known.is_known and last and self._clock and last.clock == self._clock:
            known.seen(last.moment, last.before, last.after)
        said = moment = database - timeline.set_by
        has_measure = known.is_known
        if has_measure:
            moment = min(moment, known.to_database(after))
        moment = max(moment, timeline.confirmed_at)
        if moment != said:
            timeline.set_by = database - moment
        known.seen(moment, before, after)
        if has_measure:
            timeline.confirmed_at = moment
        timeline.look = Look(self._clock, moment, before, after)
        return said - moment
