"""When to read a limit. Calls no server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from flows.support.session_slots.limit_state import LimitState

_COMMIT_PAUSES = (0.3, 1.0, 3.0, 10.0, 60.0)
"""The seconds between the reads after an event, which comes before the change can be read."""


class _Pauses(NamedTuple):
    """The seconds between two looks at the limit, by the slots that the process holds."""

    none: float
    few: float
    """The process could use more slots."""
    enough: float


_TOLD_PAUSES = _Pauses(5.0, 30.0, math.inf)
_UNTOLD_PAUSES = _Pauses(1.0, 3.0, 3.0)


class LimitWatch:
    """Says when to read a limit: when it may have changed, and where slots are lacking."""

    def __init__(self, clock: Callable[[], float], is_told: Callable[[], bool]) -> None:
        """`is_told` says whether events arrive."""
        self._clock = clock
        self._is_told = is_told
        self._read_at = self._due_at = -math.inf
        self._pauses: Iterator[float] = iter(())

    def read_in(self, seconds: float = -math.inf) -> None:
        """Read the limit after so many seconds, or at once."""
        self._due_at = min(self._due_at, self._clock() + seconds)

    def announced(self) -> None:
        """Read the limit at once, and again until its announced change is stored."""
        self._pauses = iter(_COMMIT_PAUSES)
        self.read_in()

    def was_read(self) -> None:
        """Note that the limit was read just now."""
        self._read_at = self._clock()
        self._due_at = self._read_at + next(self._pauses, math.inf)

    def due_at(self, state: LimitState | None, held: int, is_lacking: bool) -> float:
        """When the limit is to be read, by a process that holds so many slots and may lack some."""
        if state is None:
            return -math.inf
        pauses = _TOLD_PAUSES if self._is_told() else _UNTOLD_PAUSES
        pause = pauses.enough
        if is_lacking:
            pause = pauses.few if held else pauses.none
        if state.taken > state.limit:  # others release slots, too
            pause = min(pause, pauses.few)
        return min(self._read_at + pause, self._due_at)
