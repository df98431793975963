"""Steady time: the time of limits, which does not jump when the database's clock is set. Pure.

Limits measure their windows in steady time: the database's clock, minus the seconds by which that
clock has been set forward. A process measures with its own clock, which nobody can set, how much
time has passed. So the process notices that the database's clock was set, and records with the
limit by how much; all other processes then measure in the same way. Two rules decide. Where they
err, steady time falls behind true time, so that a window holds too few messages, not too many:

- Steady time passes no faster than the process's own clock. So after a jump forward, replies stay
  in their window as long as before. (A process that was paused cannot tell its pause from a jump.
  If other processes have confirmed a later moment meanwhile, the later moment counts.)
- Steady time never falls behind a moment that a process has confirmed. So after a jump backward,
  no message waits until the clock has made up for the jump.

A process that reads the database's clock for the first time has no interval to compare with. Its
reading confirms nothing, unless the last reading was taken on the same machine, by the same clock.
So steady time can still fall back where the clock is set back before anything is confirmed. The
timeline records by how much, and each process takes this off its own measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from mailsluice.limits.clock import DatabaseClock


class Look(NamedTuple):
    """A reading of steady time, between two moments of a machine's clock."""

    clock: str
    """The name of the machine's clock; empty if unknown."""
    moment: float
    before: float
    after: float


@dataclass(slots=True)
class Timeline:
    """The steady time of one limit, as stored with the limit."""

    set_by: float = 0.0
    """Seconds by which the database's clock has been set forward since the limit was first used:
    the database's time minus steady time."""
    confirmed_at: float = -math.inf
    """The latest moment of steady time that a process has confirmed by its own clock."""
    look: Look | None = None
    """The last reading."""
    fallen_by: float = 0.0
    """Seconds by which steady time has fallen back in all: before anything was confirmed."""

    def to_json(self) -> dict[str, Any]:
        """Return the timeline as values that JSON can hold."""
        confirmed = None if self.confirmed_at == -math.inf else self.confirmed_at
        look = list(self.look) if self.look else None
        return {
            "set_by": self.set_by,
            "confirmed_at": confirmed,
            "look": look,
            "fallen_by": self.fallen_by,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a timeline from the result of `to_json`."""
        confirmed, look = value["confirmed_at"], value["look"]
        return cls(
            value["set_by"],
            -math.inf if confirmed is None else confirmed,
            Look(*look) if look else None,
            value.get("fallen_by", 0.0),
        )


class Timekeeper:
    """A process's knowledge of the steady time of the limits that it sends under."""

    def __init__(self, clock: str = "") -> None:
        """Start without knowledge.

        `clock` names the machine's clock, with the same name in all processes that read that clock.
        """
        self._clock = clock
        self._known: dict[str, DatabaseClock] = {}
        self._fallen_by: dict[str, float] = {}
        """By limit: how far its steady time had fallen back when this process looked last."""

    def look(
        self, key: str, timeline: Timeline, database: float, before: float, after: float
    ) -> float:
        """Record a reading of the database's clock in a limit's timeline.

        Args:
            key: The limit's name.
            timeline: The limit's timeline, which is updated.
            database: What the database's clock showed.
            before: The process's own clock before the reading.
            after: The process's own clock after the reading.

        Returns:
            The seconds by which the database's clock turned out to have been set.
        """
        known = self._known.setdefault(key, DatabaseClock())
        last = timeline.look
        if not known.is_known and last and self._clock and last.clock == self._clock:
            known.seen(last.moment, last.before, last.after)
        shown = moment = database - timeline.set_by
        has_measure = known.is_known
        fallen_by = timeline.fallen_by - self._fallen_by.get(key, timeline.fallen_by)
        if has_measure:
            moment = min(moment, known.to_database(after) - fallen_by)
        moment = max(moment, timeline.confirmed_at)
        if moment != shown:
            timeline.set_by = database - moment
        timeline.fallen_by += _fall(moment, last, known if not fallen_by else None, before)
        self._fallen_by[key] = timeline.fallen_by
        known.seen(moment, before, after)
        if has_measure:
            timeline.confirmed_at = moment
        timeline.look = Look(self._clock, moment, before, after)
        return shown - moment


def _fall(moment: float, last: Look | None, known: DatabaseClock | None, before: float) -> float:
    """Return the seconds by which steady time falls back at this moment."""
    earlier = last.moment if last else -math.inf
    if known and known.is_known:
        earlier = max(earlier, known.since(before))
    return max(0.0, earlier - moment)
