"""The last known state of a limit, and when to read it again. Calls no server."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from prefect.events import Event

from flows.support.session_slots.limit import LIMIT_KIND, LimitState

_COMMIT_SECONDS = 10.0  # an announced change of the limit can be read after so long
_LATE_COMMIT_SECONDS = 60.0  # ... or, where the server's database is slow, after so long


class _Pauses(NamedTuple):
    """The seconds between two looks at the limit, by the slots that the process holds."""

    none: float
    few: float
    """The process could use more slots."""
    enough: float


_TOLD_PAUSES = _Pauses(5.0, 30.0, math.inf)
_UNTOLD_PAUSES = _Pauses(1.0, 3.0, 3.0)


class LimitWatch:
    """Says when to read a limit, and corrects what is read by what was announced.

    Prefect sends the event of a change before the change can be read.
    """

    def __init__(self, clock: Callable[[], float], is_told: Callable[[], bool]) -> None:
        """`is_told` says whether events arrive."""
        self._clock = clock
        self._is_told = is_told
        self._read_at, self._due_by = -math.inf, -math.inf
        self._announced: LimitState | None = None
        self._announced_until = self._confirm_at = -math.inf

    def read_in(self, seconds: float = -math.inf) -> None:
        """Read the limit after so many seconds, or at once."""
        self._due_by = self._clock() + seconds

    def due_at(self, state: LimitState | None, held: int, is_lacking: bool) -> float:
        """When the limit is to be read, by a process that holds so many slots and may lack some."""
        pauses = _TOLD_PAUSES if self._is_told() else _UNTOLD_PAUSES
        pause = pauses.enough
        if is_lacking:
            pause = pauses.few if held else pauses.none
        if state and state.taken > state.limit:  # others release slots, too
            pause = min(pause, pauses.few)
        return min(self._read_at + pause, self._due_by) if state else -math.inf

    def corrected(self, state: LimitState) -> LimitState:
        """The state that was just read, with the values that were announced."""
        self._read_at = self._clock()
        later = (self._announced_until, self._confirm_at)
        self._due_by = min((at for at in later if at > self._read_at), default=math.inf)
        if self._read_at >= self._announced_until:
            self._announced = None
        if known := self._announced:
            return replace(state, limit=known.limit, is_active=known.is_active)
        return state

    def hear(self, event: Event, known: LimitState | None) -> bool:
        """Note an event of the limit; returns whether the known limit was deleted."""
        values = event.payload
        if known is None or (known.updated and event.occurred <= known.updated):
            return False
        is_deleted = event.event.endswith(".deleted")
        new = None
        if not is_deleted:
            new = replace(known, limit=values["limit"], is_active=values["active"])
            if event.resource.id == f"{LIMIT_KIND}{known.id}" and new == known:
                return False
        now = self._clock()
        self._announced, self._announced_until = new, now + _COMMIT_SECONDS
        self._confirm_at = now + _LATE_COMMIT_SECONDS
        self.read_in()
        return is_deleted
