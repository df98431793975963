"""Steady time: the time of limits, which does not jump when the database's clock is set. Pure.

Limits measure their windows in steady time: the database's clock, minus the seconds by which that
clock has been set forward. A process measures with its own clock, which nobody can set, how much
time has passed. So the process notices that the database's clock was set, and records with the
limit by how much; all other processes then measure in the same way. Two rules decide. Where they
err, steady time falls behind true time, so that a window holds too few messages, not too many:

- Steady time passes no faster than the process's own clock. So after a jump forward, replies stay
  in their window as long as before. (A process that was paused cannot tell its pause from a jump.
  If other processes have confirmed a later moment meanwhile, the later moment counts.)
- Steady time never falls behind a moment that a process has confirmed, but for the resolution of
  the database's clock. So after a jump backward, no message waits until the clock has made up for
  the jump.

A measured time has bounds only: clocks drift apart, and the database's clock is read in steps. So
steady time goes on from the earliest moment that it can have reached. From the latest one it would
gain up to the distance between the bounds at each jump, and windows would be as much too short.

A process that reads the database's clock for the first time has no interval to compare with. Its
reading confirms nothing, unless the last reading was taken on the same machine, by the same clock.
So steady time can still fall back where the clock is set back before anything is confirmed. The
timeline records by how much, at least and at most, whenever a process lets steady time fall back;
each other process takes this off the bounds of its own measure.

Jumps between those bounds pass unnoticed, as a difference of the clocks. The bounds are a
millisecond apart, the time that a reading takes, a thousandth of the time since the process's last
look, and what the others could not tell of the falls since then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from mailsluice.limits.clock import RESOLUTION_SECONDS, DatabaseClock


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
    """Seconds by which steady time has fallen back in all, at least."""
    fallen_at_most: float = 0.0
    """Seconds by which steady time has fallen back in all, at most."""

    def to_json(self) -> dict[str, Any]:
        """Return the timeline as values that JSON can hold."""
        confirmed = None if self.confirmed_at == -math.inf else self.confirmed_at
        look = list(self.look) if self.look else None
        return {
            "set_by": self.set_by,
            "confirmed_at": confirmed,
            "look": look,
            "fallen_by": self.fallen_by,
            "fallen_at_most": self.fallen_at_most,
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
            value.get("fallen_at_most", value.get("fallen_by", 0.0)),
        )


class Timekeeper:
    """A process's knowledge of the steady time of the limits that it sends under."""

    def __init__(self, clock: str = "") -> None:
        """Start without knowledge.

        `clock` names the machine's clock, with the same name in all processes that read that clock.
        """
        self._clock = clock
        self._known: dict[str, DatabaseClock] = {}
        self._fallen: dict[str, tuple[float, float]] = {}
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
        least, most = self._fallen_since(key, timeline)
        earliest = known.since(before) - most if has_measure else -math.inf
        latest = known.to_database(after) - least if has_measure else math.inf
        if shown > max(latest, timeline.confirmed_at):  # set forward
            moment = earliest - RESOLUTION_SECONDS
        moment = max(moment, timeline.confirmed_at - RESOLUTION_SECONDS)
        if moment != shown:
            timeline.set_by = database - moment
        earliest = max(earliest, last.moment if last else -math.inf)
        fallen_by = max(0.0, earliest - moment - RESOLUTION_SECONDS)
        if moment != shown or fallen_by:
            timeline.fallen_by += fallen_by
            latest = max(latest, earliest) if has_measure else earliest
            timeline.fallen_at_most += max(0.0, latest - moment)
        self._fallen[key] = timeline.fallen_by, timeline.fallen_at_most
        known.seen(moment, before, after)
        if has_measure:
            timeline.confirmed_at = moment
        timeline.look = Look(self._clock, moment, before, after)
        return shown - moment

    def _fallen_since(self, key: str, timeline: Timeline) -> tuple[float, float]:
        """Return by how much steady time has fallen back since the last look: at least, at most."""
        fallen = timeline.fallen_by, timeline.fallen_at_most
        least, most = self._fallen.get(key, fallen)
        least, most = fallen[0] - least, fallen[1] - most
        return least, max(least, most)
