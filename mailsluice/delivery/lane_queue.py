"""The lanes of mailbox providers in the order of their turns: those that may send, those that wait.

A lane is in at most one of the two. Both are heaps, so thousands of lanes cost no more than a few.
"""

from __future__ import annotations

import heapq
import math

from mailsluice.delivery.lane import Lane


class LaneQueue:
    """The lanes with recipients that may be sent to, and the lanes that are parked."""

    def __init__(self) -> None:
        self._ready: list[tuple[int, int, Lane]] = []
        """By the first recipient of each lane."""
        self._parked: list[tuple[float, int, Lane]] = []
        """By the end of the wait; with entries that are outdated."""

    def __bool__(self) -> bool:
        """Whether a lane is ready."""
        return bool(self._ready)

    @property
    def has_parked(self) -> bool:
        """Whether a lane may be parked until a moment."""
        return bool(self._parked)

    def first_before(self, recipient_id: float) -> Lane | None:
        """The ready lane with the earliest recipient, if that comes before another recipient."""
        ready = self._ready
        return ready[0][2] if ready and ready[0][0] < recipient_id else None

    def add(self, lane: Lane) -> None:
        """Add a lane with recipients to those that are ready, unless it is there."""
        if not lane.is_queued:
            lane.is_queued = True
            heapq.heappush(self._ready, (lane.rows[0].id, lane.number, lane))

    def remove_first(self) -> None:
        """Remove the first of the lanes that are ready."""
        heapq.heappop(self._ready)[2].is_queued = False

    def first_taken(self) -> None:
        """Put the first lane where its next recipient belongs, or remove it without one."""
        lane = self._ready[0][2]
        if lane.rows:
            heapq.heapreplace(self._ready, (lane.rows[0].id, lane.number, lane))
        else:
            self.remove_first()

    def remove(self, lane: Lane) -> None:
        """Remove a lane from those that are ready, if it is there."""
        if lane.is_queued:
            lane.is_queued = False
            self._ready = [entry for entry in self._ready if entry[2] is not lane]
            heapq.heapify(self._ready)

    def park(self, lane: Lane, until: float) -> None:
        """Let a lane wait that is not ready; infinity: until something changes."""
        lane.parked_until = until
        if until < math.inf:
            heapq.heappush(self._parked, (until, lane.number, lane))

    def next_parked_at(self) -> float:
        """When the first wait ends; infinity where none does by itself."""
        parked = self._parked
        while parked and parked[0][0] != parked[0][2].parked_until:
            heapq.heappop(parked)
        return parked[0][0] if parked else math.inf

    def take_parked(self) -> Lane:
        """Remove and return the lane whose wait ends first, after `next_parked_at`."""
        return heapq.heappop(self._parked)[2]

    def clear(self) -> None:
        """Forget the lanes that are ready."""
        self._ready.clear()
